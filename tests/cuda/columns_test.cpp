#include <gmock/gmock.h>

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaColumns = OnDevice;
using ::testing::HasSubstr;

TEST_F(CudaColumns, SumLikeTheReferenceWithAndWithoutFactorsAndRepeatTheirBits) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix dy = Matrix::random(s.rows, s.cols, type, 1, 1, gap),
                 x = Matrix::random(s.rows, s.cols, type, 2, 1, gap),
                 weight = Matrix::random(1, s.cols, DType::f32, 3),
                 before = Matrix::random(1, s.cols, DType::f32, 4), dy64 = wide(dy), x64 = wide(x),
                 weight64 = wide(weight);
    const DeviceMatrix ddy(dy), dx(x), dweight(weight);
    for (const bool times_x : {false, true})
      for (const bool weighted : {false, true}) {
        const auto args = [&](TensorView db, TensorView a, TensorView b, TensorView w) {
          return ColumnSumArgs{db, a, times_x ? b : TensorView(), weighted ? w : TensorView()};
        };
        const DeviceMatrix one(before), two(before);
        const Matrix want = wide(before);
        run_on_device(args(one, ddy, dx, dweight));
        run_on_device(args(two, ddy, dx, dweight));
        run_reference(args(want, dy64, x64, weight64));
        // f32 sums of at most 1300 terms.
        EXPECT_LT(nmse(one.download(), want), 1e-12) << times_x << weighted;
        EXPECT_TRUE(one.download().same_bytes(two.download()));
      }
  });
}

TEST_F(CudaColumns, ScaleLikeTheReferenceAlsoInPlace) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Matrix x = Matrix::random(s.rows, s.cols, type, 1, 1, gap),
                 residual = Matrix::random(s.rows, s.cols, type, 2, 1, gap),
                 scale = Matrix::random(1, s.cols, DType::f32, 3),
                 bias = Matrix::random(1, s.cols, DType::f32, 4), x64 = wide(x), residual64 = wide(residual),
                 scale64 = wide(scale), bias64 = wide(bias), want(s.rows, s.cols, DType::f64);
    const DeviceMatrix dx(x), dresidual(residual), dscale(scale), dbias(bias);
    for (const bool biased : {false, true})
      for (const bool added : {false, true}) {
        const auto args = [&](TensorView y, TensorView a, TensorView f, TensorView b, TensorView r) {
          return ScaleColumnsArgs{y, a, f, -1, biased ? b : TensorView(), added ? r : TensorView()};
        };
        const DeviceMatrix y(Matrix(s.rows, s.cols, type, gap)), over_x(x), over_residual(residual);
        run_on_device(args(y, dx, dscale, dbias, dresidual));
        run_on_device(args(over_x, over_x, dscale, dbias, dresidual));
        run_on_device(args(over_residual, dx, dscale, dbias, over_residual));
        run_reference(args(want, x64, scale64, bias64, residual64));
        const Matrix got = y.download();
        EXPECT_LT(nmse(got, want), one_rounding(type)) << biased << added;
        EXPECT_TRUE(got.gaps_untouched());
        EXPECT_EQ(nmse(over_x.download(), got), 0);
        EXPECT_EQ(nmse(over_residual.download(), got), 0);
      }
  });
}

TEST(CudaColumnKernels, SayWhichTypesTheyDoNotTake) {
  const Matrix bf16(2, 8, DType::bf16), f32(2, 8, DType::f32), row(1, 8, DType::f32), half(1, 8, DType::bf16);
  EXPECT_THAT(cuda_kernels<ColumnSumArgs>()[0].reject({row, bf16, f32, {}}), HasSubstr("bf16 and f32"));
  EXPECT_THAT(cuda_kernels<ColumnSumArgs>()[0].reject({row, bf16, bf16, half}), HasSubstr("f32 factors"));
  EXPECT_THAT(cuda_kernels<ScaleColumnsArgs>()[0].reject({bf16, f32, row, 0, {}, {}}),
              HasSubstr("bf16 and f32"));
  EXPECT_THAT(cuda_kernels<ScaleColumnsArgs>()[0].reject({f32, f32, half, 0, {}, {}}),
              HasSubstr("f32 factors"));
}

}  // namespace
}  // namespace lorikeet::test
