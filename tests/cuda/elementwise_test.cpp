#include <gmock/gmock.h>

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaElementwise = OnDevice;
using ::testing::HasSubstr;

Matrix random(DType type, const Shape& s, int64_t gap, uint32_t seed, double scale = 1) {
  return Matrix::random(s.rows, s.cols, type, seed, scale, gap);
}
Matrix f64(const Shape& s) { return Matrix(s.rows, s.cols, DType::f64); }

TEST_F(CudaElementwise, AddsLikeTheReferenceAlsoInPlace) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix a = random(type, s, gap, 1), b = random(type, s, gap, 2), a64 = wide(a), b64 = wide(b),
                 want = f64(s);
    const DeviceMatrix da(a), db(b), y(Matrix(s.rows, s.cols, type, gap));
    run_on_device(AddArgs{y, da, db, 0.22});
    run_on_device(AddArgs{da, da, db, 0.22});
    run_reference(AddArgs{want, a64, b64, 0.22});
    const Matrix got = y.download();
    EXPECT_LT(nmse(got, want), one_rounding(type));
    EXPECT_EQ(nmse(da.download(), got), 0);
    EXPECT_TRUE(got.gaps_untouched());
  });
}

TEST_F(CudaElementwise, ZeroesNothingBetweenRows) {
  for (const DType type : {DType::f32, DType::bf16, DType::f64})
    for (const Shape& s : kRowShapes)
      for (const int64_t gap : kGaps) {
        const DeviceMatrix y(random(type, s, gap, 1));
        run_on_device(ZeroArgs{y});
        const Matrix got = y.download();
        for (int64_t r = 0; r < s.rows; ++r)
          for (int64_t c = 0; c < s.cols; ++c) ASSERT_EQ(got.at(r, c), 0);
        EXPECT_TRUE(got.gaps_untouched());
      }
}

TEST_F(CudaElementwise, CastsBetweenAllSmallTypes) {
  constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::f16};
  for (const DType to : kTypes)
    for (const DType from : kTypes)
      for (const Shape& s : kRowShapes)
        for (const int64_t gap : kGaps) {
          const Matrix x = random(from, s, gap, 1);
          Matrix want(s.rows, s.cols, to, gap);
          const DeviceMatrix dx(x), y(want);
          run_on_device(CastArgs{y, dx, 0.5});
          for (int64_t r = 0; r < s.rows; ++r)  // half of any of them is exact: one rounding, to nearest even
            for (int64_t c = 0; c < s.cols; ++c) set_value(want.view(), r, c, 0.5 * x.at(r, c));
          EXPECT_TRUE(y.download().same_bytes(want)) << name_of(from) << " to " << name_of(to);
        }
}

TEST_F(CudaElementwise, CapsLogitsLikeTheReferenceInPlace) {
  for (const Shape& s : kRowShapes)
    for (const int64_t gap : kGaps)
      for (const double softcap : {0.0, 5.0}) {
        const Matrix x = random(DType::f32, s, gap, 1, 9), x64 = wide(x), want = f64(s);
        const DeviceMatrix y(x);
        run_on_device(LogitCapArgs{y, y, 0.5, softcap});
        run_reference(LogitCapArgs{want, x64, 0.5, softcap});
        EXPECT_LT(nmse(y.download(), want), 1e-12);  // tanhf is good to 2 units in the last place
        EXPECT_TRUE(y.download().gaps_untouched());
      }
}

constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh, Activation::gelu,
                                       Activation::relu};

TEST_F(CudaElementwise, GatesLikeTheReferenceWithAndWithoutUp) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix gate = random(type, s, gap, 1, 3), up = random(type, s, gap, 2), gate64 = wide(gate),
                 up64 = wide(up), want = f64(s);
    const DeviceMatrix dgate(gate), dup(up);
    for (const Activation kind : kActivations)
      for (const bool gated : {false, true}) {
        const DeviceMatrix y(Matrix(s.rows, s.cols, type, gap));
        run_on_device(GatedActivationArgs{y, dgate, gated ? dup.view() : TensorView(), kind});
        run_reference(GatedActivationArgs{want, gate64, gated ? up64.view() : TensorView(), kind});
        const Matrix got = y.download();
        // In f32 gelu is the difference of nearly equal numbers for large negative x.
        EXPECT_LT(nmse(got, want), one_rounding(type)) << static_cast<int>(kind) << gated;
        EXPECT_TRUE(got.gaps_untouched());
      }
  });
}

TEST_F(CudaElementwise, GivesTheReferencesGradientsOfGatesAlsoInPlace) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix gate = random(type, s, gap, 1, 3), up = random(type, s, gap, 2),
                 dy = random(type, s, gap, 3), gate64 = wide(gate), up64 = wide(up), dy64 = wide(dy),
                 want_gate = f64(s), want_up = f64(s);
    const DeviceMatrix ddy(dy), dgate(gate), dup(up);
    for (const Activation kind : kActivations)
      for (const bool gated : {false, true}) {
        const auto only = [&](const TensorView& v) { return gated ? v : TensorView(); };
        const DeviceMatrix g(gate), u(up), gg(Matrix(s.rows, s.cols, type, gap)),
            gu(Matrix(s.rows, s.cols, type, gap));
        run_on_device(GatedActivationBwdArgs{gg, only(gu), ddy, dgate, only(dup), kind});
        run_on_device(GatedActivationBwdArgs{g, only(u), ddy, g, only(u), kind});
        run_reference(GatedActivationBwdArgs{want_gate, only(want_up), dy64, gate64, only(up64), kind});
        const Matrix got = gg.download();
        EXPECT_LT(nmse(got, want_gate), one_rounding(type)) << static_cast<int>(kind) << gated;
        EXPECT_EQ(nmse(g.download(), got), 0);
        EXPECT_TRUE(got.gaps_untouched());
        if (!gated) continue;
        EXPECT_LT(nmse(gu.download(), want_up), one_rounding(type)) << static_cast<int>(kind);
        EXPECT_EQ(nmse(u.download(), gu.download()), 0);
      }
  });
}

TEST(CudaElementwiseKernels, SayWhichTypesTheyDoNotTake) {
  const Matrix bf16(2, 8, DType::bf16), f32(2, 8, DType::f32), f64(2, 8, DType::f64);
  EXPECT_THAT(cuda_kernels<AddArgs>()[0].reject({bf16, bf16, f32}), HasSubstr("bf16 and f32"));
  EXPECT_THAT(cuda_kernels<AddArgs>()[0].reject({f64, f64, f64}), HasSubstr("bf16 and f32"));
  EXPECT_THAT(cuda_kernels<CastArgs>()[0].reject({f64, f32}), HasSubstr("16- and 32-bit types"));
  EXPECT_THAT(cuda_kernels<LogitCapArgs>()[0].reject({bf16, bf16}), HasSubstr("f32 logits"));
  EXPECT_THAT(cuda_kernels<GatedActivationArgs>()[0].reject({bf16, bf16, f32}), HasSubstr("bf16 and f32"));
}

}  // namespace
}  // namespace lorikeet::test
