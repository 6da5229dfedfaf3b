#include "cuda/device.h"

namespace lorikeet::test {
namespace {

class CudaRope : public OnDevice {
 protected:
  static constexpr int64_t kPositions = 50;

  /// y = rope of x on the device against the reference, for heads that lie in `y` and `x` as given.
  static void expect_reference(const Matrix& y, const Matrix& x, RopeArgs shape) {
    std::vector<int32_t> at;
    for (int64_t i = 0; i < x.view().rows; ++i) at.push_back(static_cast<int32_t>(i * 7 % kPositions));
    const int64_t half = shape.rotary_dim / 2;
    const Matrix cos = Matrix::random(kPositions, half, DType::f32, 2),
                 sin = Matrix::random(kPositions, half, DType::f32, 3), want = wide(y), x64 = wide(x);
    const DeviceMatrix dy(y), dx(x), dcos(cos), dsin(sin);
    const DeviceArray<int32_t> dat(at);
    const auto with = [&](TensorView y_view, TensorView x_view, TensorView c, TensorView s,
                          const int32_t* p) {
      RopeArgs a = shape;
      a.y = y_view;
      a.x = x_view;
      a.cos = c;
      a.sin = s;
      a.positions = p;
      return a;
    };
    run_on_device(with(dy, dx, dcos, dsin, dat.data()));
    run_reference(with(want, x64, cos, sin, at.data()));
    const Matrix got = dy.download();
    EXPECT_LT(nmse(got, want), one_rounding(x.view().dtype));
    EXPECT_TRUE(got.gaps_untouched());
    if (y.view().cols != x.view().cols) return;
    run_on_device(with(dx, dx, dcos, dsin, dat.data()));
    EXPECT_EQ(nmse(dx.download(), got), 0) << "in place";
  }
};

TEST_F(CudaRope, MatchesTheReferenceForPartsOfHeadsInBothDirectionsAndLayouts) {
  for (const DType type : kComputeTypes)
    for (const int dim : {16, 24, 64, 80, 128})
      for (const int rotary : {dim, dim / 2, 6, 0})
        for (const int64_t gap : kGaps)
          for (const bool interleaved : {false, true})
            for (const double sign : {1.0, -1.0}) {
              SCOPED_TRACE(fmt::format("{} {} of {}, gap {}, interleaved {}, sign {}", name_of(type), rotary,
                                       dim, gap, interleaved, sign));
              const Matrix x = Matrix::random(19, 3 * dim, type, 1, 1, gap), y(19, 3 * dim, type, gap);
              expect_reference(y, x, {{}, {}, {}, {}, nullptr, dim, rotary, sign, interleaved});
            }
}

TEST_F(CudaRope, MatchesTheReferenceInAFusedProjection) {
  for (const DType type : kComputeTypes)
    for (const int dim : {24, 64}) {  // two groups of three queries, a key and a value
      const Matrix fused = Matrix::random(5, 10 * dim, type, 1), heads = Matrix::random(5, 6 * dim, type, 4);
      const HeadLayout queries{0, 3, 5 * dim};
      const int rotary = dim / 4 * 3;
      expect_reference(Matrix(5, 6 * dim, type), fused,
                       {{}, {}, {}, {}, nullptr, dim, rotary, 1, false, {}, queries});
      // Into the fused one, whose other columns are somebody else's.
      expect_reference(fused, heads, {{}, {}, {}, {}, nullptr, dim, rotary, -1, false, queries, {}});
    }
}

TEST_F(CudaRope, TakesManyRows) {
  const Matrix x = Matrix::random(3000, 2 * 64, DType::bf16, 1), y(3000, 2 * 64, DType::bf16);
  expect_reference(y, x, {{}, {}, {}, {}, nullptr, 64, 64, 1});
}

}  // namespace
}  // namespace lorikeet::test
