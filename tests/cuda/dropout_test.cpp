#include <gmock/gmock.h>

#include <optional>

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaDraws = OnDevice;

/// A micro-batch of rows of 1, 0, 3 and 2 tokens, again and again, with positions that leave some out, as the
/// loss has them.
class Batch {
 public:
  explicit Batch(int64_t tokens) {
    constexpr int32_t kLengths[] = {1, 0, 3, 2};
    for (int32_t at = 0; at < tokens;) {
      const auto r = rows_.size();
      const int32_t n = std::min(kLengths[r % 4], static_cast<int32_t>(tokens) - at);
      rows_.push_back({at, n, at, n});
      ids_.push_back(static_cast<int64_t>(r) * 7 + (r % 3 == 0 ? int64_t{1} << 40 : 0));
      for (int32_t i = 0; i < n; ++i) positions_.push_back(3 * i + static_cast<int32_t>(r % 5));
      at += n;
    }
    device_.emplace(positions_);
  }
  MicroBatch view(std::span<const int32_t> positions) const {
    MicroBatch batch;
    batch.positions = positions;
    batch.rows = rows_;
    batch.row_ids = ids_;
    return batch;
  }
  MicroBatch on_host() const { return view(positions_); }
  MicroBatch on_device() const { return view({device_->data(), positions_.size()}); }

 private:
  std::vector<RowSpan> rows_;
  std::vector<int64_t> ids_;
  std::vector<int32_t> positions_;
  std::optional<DeviceArray<int32_t>> device_;
};

constexpr uint64_t kSeed = 0x123456789abcdef0, kStream = 0xfedcba9876543210;

TEST_F(CudaDraws, DropBitForBitLikeTheCpu) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Batch batch(s.rows);
    const MicroBatch host = batch.on_host(), device = batch.on_device();
    const Matrix x = Matrix::random(s.rows, s.cols, type, 1, 1, gap);
    const DeviceMatrix dx(x), over_x(x);
    for (const bool accumulate : {false, true}) {
      const auto args = [&](TensorView y, TensorView from, const MicroBatch& b) {
        return DropoutArgs{y, from, 0.3, kSeed, kStream, &b, accumulate, accumulate ? -1.0 : 1.0};
      };
      Matrix y = Matrix::random(s.rows, s.cols, type, 2, 1, gap);
      const DeviceMatrix dy(y);
      run_on_device(args(dy, dx, device));
      run_row(name_of(Isa::avx2), args(y, x, host));
      EXPECT_TRUE(dy.download().same_bytes(y)) << accumulate;
      if (accumulate) continue;
      run_on_device(args(over_x, over_x, device));
      EXPECT_TRUE(over_x.download().same_bytes(y));
    }
  });
}

TEST_F(CudaDraws, KeepWhatTheReferenceKeeps) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Batch batch(s.rows);
    const MicroBatch host = batch.on_host(), device = batch.on_device();
    const Matrix x = Matrix::random(s.rows, s.cols, type, 1, 1, gap), x64 = wide(x),
                 want(s.rows, s.cols, DType::f64);
    const DeviceMatrix dx(x), y(Matrix(s.rows, s.cols, type, gap));
    run_on_device(DropoutArgs{y, dx, 0.5, kSeed, kStream, &device});
    run_reference(DropoutArgs{want, x64, 0.5, kSeed, kStream, &host});
    EXPECT_EQ(nmse(y.download(), want), 0);  // twice a number is exact
  });
}

TEST_F(CudaDraws, AddNoiseBitForBitLikeTheCpuAndLikeTheReference) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const Batch batch(s.rows);
    const MicroBatch host = batch.on_host(), device = batch.on_device();
    Matrix y = Matrix::random(s.rows, s.cols, type, 1, 1, gap);
    const Matrix want = wide(y);
    const DeviceMatrix dy(y);
    run_on_device(NoiseArgs{dy, 5, kSeed, kStream, &device});
    run_row(name_of(Isa::avx2), NoiseArgs{y, 5, kSeed, kStream, &host});
    run_reference(NoiseArgs{want, 5, kSeed, kStream, &host});
    EXPECT_TRUE(dy.download().same_bytes(y));
    EXPECT_LT(nmse(dy.download(), want), one_rounding(type));
  });
}

TEST(CudaDrawKernels, SayWhichTypesTheyDoNotTake) {
  const Matrix bf16(2, 8, DType::bf16), f32(2, 8, DType::f32), f64(2, 8, DType::f64);
  EXPECT_THAT(cuda_kernels<DropoutArgs>()[0].reject({bf16, f32, 0.1, 1, 2, nullptr}),
              ::testing::HasSubstr("bf16 and f32"));
  EXPECT_THAT(cuda_kernels<NoiseArgs>()[0].reject({f64, 5, 1, 2, nullptr}),
              ::testing::HasSubstr("bf16 and f32"));
}

}  // namespace
}  // namespace lorikeet::test
