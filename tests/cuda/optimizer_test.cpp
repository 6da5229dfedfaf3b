#include <gmock/gmock.h>

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaOptimizer = OnDevice;
using ::testing::HasSubstr;

constexpr AdamWSettings kSettings{1e-3, 0.9, 0.999, 1e-8, 0.01, 0.7, 3};

/// A parameter with its state, updated by both optimizers on the device and by the CPU's portable kernels.
void expect_cpu_bits(const Shape& s, int64_t gap, BlockRange blocks) {
  SCOPED_TRACE(fmt::format("{}x{}, gap {}, blocks {}..{}", s.rows, s.cols, gap, blocks.first, blocks.last));
  const Matrix g = Matrix::random(s.rows, s.cols, DType::f32, 1, 1, gap);
  Matrix p = Matrix::random(s.rows, s.cols, DType::f32, 2, 1, gap),
         m = Matrix::random(1, s.count(), DType::f32, 3), v = Matrix::filled(1, s.count(), DType::f32, 0.5);
  const DeviceMatrix dg(g), dp(p), dm(m), dv(v);
  run_on_device(AdamWArgs{dp, dg, dm, dv, kSettings, {}, blocks});
  run_row("portable", AdamWArgs{p, g, m, v, kSettings, {}, blocks});
  EXPECT_TRUE(dp.download().same_bytes(p));
  EXPECT_TRUE(dm.download().same_bytes(m));
  EXPECT_TRUE(dv.download().same_bytes(v));
  run_on_device(SgdArgs{dp, dg, 1e-2, 0.1, 0.7, {}, blocks});
  run_row("portable", SgdArgs{p, g, 1e-2, 0.1, 0.7, {}, blocks});
  EXPECT_TRUE(dp.download().same_bytes(p)) << "sgd";
}

TEST_F(CudaOptimizer, UpdatesBitForBitLikeTheCpu) {
  for (const Shape& s : kRowShapes)
    for (const int64_t gap : kGaps)
      expect_cpu_bits(s, gap, {0, (s.count() + kUpdateBlock - 1) / kUpdateBlock});
}

TEST_F(CudaOptimizer, UpdatesOnlyItsBlocks) {
  for (const int64_t gap : kGaps) {
    expect_cpu_bits({5, 301}, gap, {1, 3});
    expect_cpu_bits({5, 301}, gap, {5, 6});
    expect_cpu_bits({5, 301}, gap, {2, 2});
  }
}

TEST(CudaOptimizerKernels, SayThatTheyUpdateF32Only) {
  const Matrix p(1, 8, DType::bf16), g(1, 8, DType::f32);
  EXPECT_THAT(cuda_kernels<AdamWArgs>()[0].reject({p, g, g, g, kSettings, {}, {0, 1}}), HasSubstr("f32"));
  EXPECT_THAT(cuda_kernels<SgdArgs>()[0].reject({p, g, 1, 0, 1, {}, {0, 1}}), HasSubstr("f32"));
}

TEST_F(CudaOptimizer, SumsSquaresLikeTheReferenceAndRepeatsItsBits) {
  for (const Shape& s : {Shape{1, 1}, Shape{7, 9001}, Shape{3, 40000}, Shape{1, 100000}, Shape{2000, 577}})
    for (const int64_t gap : kGaps) {
      const Matrix g = Matrix::random(s.rows, s.cols, DType::f32, 1, 1, gap), g64 = wide(g),
                   want = Matrix::filled(1, 1, DType::f64, 1);
      const DeviceMatrix dg(g), one(want), two(want);
      run_on_device(SquareSumArgs{one, dg});
      run_on_device(SquareSumArgs{two, dg});
      run_reference(SquareSumArgs{want, g64});
      // f64 sums of a million terms.
      EXPECT_NEAR(one.download().at(0, 0) / want.at(0, 0), 1, 1e-12) << s.rows << "x" << s.cols << " " << gap;
      EXPECT_TRUE(one.download().same_bytes(two.download()));
    }
}

}  // namespace
}  // namespace lorikeet::test
