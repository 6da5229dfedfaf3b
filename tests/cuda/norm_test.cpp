#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaRmsNorm = OnDevice;

constexpr double kEps = 1e-5;

/// What rms_norm gives on the reference backend.
struct Normed {
  Normed(const Matrix& x, const Matrix& w, double offset)
      : y(x.view().rows, x.view().cols, DType::f64), rstd(x.view().rows, 1, DType::f64) {
    const Matrix x64 = wide(x), w64 = wide(w);
    run_reference(RmsNormArgs{y, rstd, x64, w64, kEps, offset});
  }
  Matrix y, rstd;
};

TEST_F(CudaRmsNorm, MatchesTheReferenceForEveryTypeOfWeight) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix x = Matrix::random(s.rows, s.cols, type, 1, 2, gap);
    for (const DType weight_type : {DType::f32, DType::bf16, DType::f16})
      for (const double offset : {0.0, 1.0}) {
        const Matrix w = Matrix::random(1, s.cols, weight_type, 2);
        const DeviceMatrix dx(x), dw(w), y(Matrix(s.rows, s.cols, type, gap)),
            rstd(Matrix(s.rows, 1, DType::f32));
        run_on_device(RmsNormArgs{y, rstd, dx, dw, kEps, offset});
        const Normed want(x, w, offset);
        const Matrix got = y.download();
        EXPECT_LT(nmse(got, want.y), one_rounding(type)) << name_of(weight_type) << offset;
        EXPECT_LT(nmse(rstd.download(), want.rstd), 1e-12);  // f32 sums of at most 5001 squares
        EXPECT_TRUE(got.gaps_untouched());
      }
  });
}

TEST_F(CudaRmsNorm, GivesTheSameWithoutStatisticsAndBesideOtherRows) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const DeviceMatrix x(Matrix::random(s.rows, s.cols, type, 1, 2, gap)),
        w(Matrix::random(1, s.cols, DType::bf16, 2)), all(Matrix(s.rows, s.cols, type)),
        last(Matrix(1, s.cols, type));
    run_on_device(RmsNormArgs{all, {}, x, w, kEps});
    run_on_device(RmsNormArgs{last, {}, x.view().row_range(s.rows - 1, 1), w, kEps});
    const Matrix batch = all.download();
    EXPECT_EQ(nmse(last.download(), batch.view().row_range(s.rows - 1, 1)), 0);
  });
}

/// The operands of rms_norm_bwd on both sides.
struct Backward {
  Backward(DType type, const Shape& s, int64_t gap)
      : x(Matrix::random(s.rows, s.cols, type, 1, 2, gap)),
        w(Matrix::random(1, s.cols, DType::bf16, 2)),
        dy(Matrix::random(s.rows, s.cols, type, 3, 1, gap)),
        dx(Matrix::random(s.rows, s.cols, type, 4, 1, gap)),
        dw(Matrix::random(1, s.cols, DType::f32, 5)),
        rstd(s.rows, 1, DType::f32) {
    const Normed forward(x, w, 1);
    for (int64_t r = 0; r < s.rows; ++r) set_value(rstd.view(), r, 0, forward.rstd.at(r, 0));
  }
  struct Result {
    Matrix dx, dw;
  };
  Result on_device(bool accumulate) const {
    const DeviceMatrix x_(x), w_(w), dy_(dy), dx_(dx), dw_(dw), rstd_(rstd);
    run_on_device(RmsNormBwdArgs{dx_, dw_, dy_, x_, w_, rstd_, 1, accumulate});
    return {dx_.download(), dw_.download()};
  }
  Result on_reference(bool accumulate) const {
    const Matrix x_ = wide(x), w_ = wide(w), dy_ = wide(dy), rstd_ = wide(rstd);
    Result r{wide(dx), wide(dw)};
    run_reference(RmsNormBwdArgs{r.dx, r.dw, dy_, x_, w_, rstd_, 1, accumulate});
    return r;
  }
  Matrix x, w, dy, dx, dw, rstd;
};

TEST_F(CudaRmsNorm, GivesTheReferencesGradients) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Backward b(type, s, gap);
    for (const bool accumulate : {false, true}) {
      const Backward::Result got = b.on_device(accumulate), want = b.on_reference(accumulate);
      // For one column dx is a small difference of two numbers.
      const double bound = s.cols > 1 ? one_rounding(type) : 1;
      EXPECT_LT(nmse(got.dx, want.dx), bound) << accumulate;
      EXPECT_LT(nmse(got.dw, want.dw), 1e-12) << accumulate;  // f32 sums of at most 1300 products
      EXPECT_TRUE(got.dx.gaps_untouched());
      EXPECT_TRUE(got.dw.gaps_untouched());
    }
  });
}

TEST_F(CudaRmsNorm, WritesTheGradientOverDy) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Backward b(type, s, gap);
    const DeviceMatrix x(b.x), w(b.w), dy(b.dy), rstd(b.rstd), dw(b.dw);
    run_on_device(RmsNormBwdArgs{dy, dw, dy, x, w, rstd, 1, false});
    const Backward::Result apart = b.on_device(false);
    EXPECT_EQ(nmse(dy.download(), apart.dx), 0);
    EXPECT_TRUE(dw.download().same_bytes(apart.dw));  // summed before dy is gone
  });
}

TEST_F(CudaRmsNorm, RepeatsItsBits) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Backward b(type, s, gap);
    const Backward::Result one = b.on_device(true), two = b.on_device(true);
    EXPECT_TRUE(one.dx.same_bytes(two.dx));
    EXPECT_TRUE(one.dw.same_bytes(two.dw));
  });
}

}  // namespace
}  // namespace lorikeet::test
