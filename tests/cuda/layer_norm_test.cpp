#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaLayerNorm = OnDevice;

constexpr double kEps = 1e-5;

/// What layer_norm gives on the reference backend.
struct Normed {
  Normed(const Matrix& x, const Matrix& w, const TensorView& b)
      : y(x.view().rows, x.view().cols, DType::f64), stats(x.view().rows, 2, DType::f64) {
    const Matrix x64 = wide(x), w64 = wide(w), b64 = wide(b);
    run_reference(LayerNormArgs{y, stats, x64, w64, b64, kEps});
  }
  Matrix y, stats;
};

TEST_F(CudaLayerNorm, MatchesTheReferenceForEveryTypeOfWeightWithAndWithoutABias) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix x = Matrix::random(s.rows, s.cols, type, 1, 2, gap), b = Matrix::random(1, s.cols, type, 3);
    const DeviceMatrix dx(x), db(b);
    for (const DType weight_type : {DType::f32, DType::bf16, DType::f16})
      for (const bool biased : {false, true}) {
        const Matrix w = Matrix::random(1, s.cols, weight_type, 2);
        const DeviceMatrix dw(w), y(Matrix(s.rows, s.cols, type, gap)), stats(Matrix(s.rows, 2, DType::f32));
        run_on_device(LayerNormArgs{y, stats, dx, dw, biased ? db.view() : TensorView(), kEps});
        const Normed want(x, w, biased ? b.view() : TensorView());
        const Matrix got = y.download();
        EXPECT_LT(nmse(got, want.y), one_rounding(type)) << name_of(weight_type) << biased;
        EXPECT_LT(nmse(stats.download(), want.stats), 1e-12);  // f32 sums of at most 5001 numbers
        EXPECT_TRUE(got.gaps_untouched());
      }
  });
}

// A mean of 300 standard deviations costs f32 sums of squares most digits of the variance.
TEST_F(CudaLayerNorm, KeepsTheVarianceOfNumbersFarFromZero) {
  for (const Shape& s : kRowShapes) {
    if (s.cols == 1) continue;  // no variance
    const Matrix x = Matrix::random(s.rows, s.cols, DType::f32, 1),
                 w = Matrix::filled(1, s.cols, DType::f32, 1);
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t c = 0; c < s.cols; ++c) set_value(x.view(), r, c, x.at(r, c) + 300);
    const DeviceMatrix dx(x), dw(w), y(Matrix(s.rows, s.cols, DType::f32)),
        stats(Matrix(s.rows, 2, DType::f32));
    run_on_device(LayerNormArgs{y, stats, dx, dw, {}, kEps});
    const Normed want(x, w, {});
    // The mean is rounded to 1.5e-5, and so are the differences from it; a few such roundings meet.
    EXPECT_LT(nmse(y.download(), want.y), 1e-8) << s.rows << "x" << s.cols;
    const Matrix got = stats.download();
    EXPECT_LT(nmse(got.view().columns(1, 1), want.stats.view().columns(1, 1)), 1e-10);
  }
}

TEST_F(CudaLayerNorm, GivesTheSameWithoutStatisticsAndBesideOtherRows) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const DeviceMatrix x(Matrix::random(s.rows, s.cols, type, 1, 2, gap)),
        w(Matrix::random(1, s.cols, DType::bf16, 2)), all(Matrix(s.rows, s.cols, type)),
        last(Matrix(1, s.cols, type));
    run_on_device(LayerNormArgs{all, {}, x, w, w, kEps});
    run_on_device(LayerNormArgs{last, {}, x.view().row_range(s.rows - 1, 1), w, w, kEps});
    const Matrix batch = all.download();
    EXPECT_EQ(nmse(last.download(), batch.view().row_range(s.rows - 1, 1)), 0);
  });
}

/// The operands of layer_norm_bwd on both sides.
struct Backward {
  Backward(DType type, const Shape& s, int64_t gap)
      : x(Matrix::random(s.rows, s.cols, type, 1, 2, gap)),
        w(Matrix::random(1, s.cols, DType::bf16, 2)),
        dy(Matrix::random(s.rows, s.cols, type, 3, 1, gap)),
        dx(Matrix::random(s.rows, s.cols, type, 4, 1, gap)),
        dw(Matrix::random(1, s.cols, DType::f32, 5)),
        stats(s.rows, 2, DType::f32) {
    const Normed forward(x, w, {});
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t i = 0; i < 2; ++i) set_value(stats.view(), r, i, forward.stats.at(r, i));
  }
  struct Result {
    Matrix dx, dw;
  };
  Result on_device(bool accumulate) const {
    const DeviceMatrix x_(x), w_(w), dy_(dy), dx_(dx), dw_(dw), stats_(stats);
    run_on_device(LayerNormBwdArgs{dx_, dw_, dy_, x_, w_, stats_, accumulate});
    return {dx_.download(), dw_.download()};
  }
  Result on_reference(bool accumulate) const {
    const Matrix x_ = wide(x), w_ = wide(w), dy_ = wide(dy), stats_ = wide(stats);
    Result r{wide(dx), wide(dw)};
    run_reference(LayerNormBwdArgs{r.dx, r.dw, dy_, x_, w_, stats_, accumulate});
    return r;
  }
  Matrix x, w, dy, dx, dw, stats;
};

TEST_F(CudaLayerNorm, GivesTheReferencesGradients) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Backward b(type, s, gap);
    for (const bool accumulate : {false, true}) {
      const Backward::Result got = b.on_device(accumulate), want = b.on_reference(accumulate);
      EXPECT_LT(nmse(got.dx, want.dx), one_rounding(type)) << accumulate;
      EXPECT_LT(nmse(got.dw, want.dw), 1e-12) << accumulate;  // f32 sums of at most 1300 products
      EXPECT_TRUE(got.dx.gaps_untouched());
      EXPECT_TRUE(got.dw.gaps_untouched());
    }
  });
}

TEST_F(CudaLayerNorm, WritesTheGradientOverDy) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Backward b(type, s, gap);
    const DeviceMatrix x(b.x), w(b.w), dy(b.dy), stats(b.stats), dw(b.dw);
    run_on_device(LayerNormBwdArgs{dy, dw, dy, x, w, stats, false});
    const Backward::Result apart = b.on_device(false);
    EXPECT_EQ(nmse(dy.download(), apart.dx), 0);
    EXPECT_TRUE(dw.download().same_bytes(apart.dw));  // summed before dy is gone
  });
}

TEST_F(CudaLayerNorm, RepeatsItsBits) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Backward b(type, s, gap);
    const Backward::Result one = b.on_device(true), two = b.on_device(true);
    EXPECT_TRUE(one.dx.same_bytes(two.dx));
    EXPECT_TRUE(one.dw.same_bytes(two.dw));
  });
}

}  // namespace
}  // namespace lorikeet::test
