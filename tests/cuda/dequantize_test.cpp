#include "backend/cuda/dequantize.h"

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

constexpr Shape kShapes[] = {{1, 1}, {3, 5}, {7, 33}, {16, 64}, {129, 200}, {5, 4096}, {33, 8}, {1000, 1048}};
constexpr int32_t kBlockSizes[] = {32, 64, 128, 256, 512, 1024, 2048, 4096};

class Dequantize : public OnDevice, public ::testing::WithParamInterface<DType> {
 protected:
  /// The rows [first, first + rows) of `w` with `gap` elements of NaN between them.
  Matrix on_device(const OwnedWeight& w, int64_t first, int64_t rows, int64_t gap) {
    const DeviceWeight weight(w);
    const DeviceMatrix out(Matrix(rows, w.w.cols, GetParam(), gap));
    cuda::dequantize_bnb4(*weight, first, out, nullptr);
    expect_success(cudaDeviceSynchronize());
    return out.download();
  }
  Matrix on_cpu(const OwnedWeight& w, int64_t first, int64_t rows, int64_t gap) {
    const Matrix all = decoded(w.w, GetParam());
    Matrix m(rows, w.w.cols, GetParam(), gap);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < w.w.cols; ++c) set_value(m.view(), r, c, all.at(first + r, c));
    return m;
  }
  void expect_cpu_bits(const OwnedWeight& w, int64_t first, int64_t rows, int64_t gap) {
    SCOPED_TRACE(fmt::format("rows {}..{} of {}x{}, blocks of {}, gap {}", first, first + rows, w.w.rows,
                             w.w.cols, w.w.blocksize, gap));
    EXPECT_TRUE(on_device(w, first, rows, gap).same_bytes(on_cpu(w, first, rows, gap)));
  }
};

TEST_P(Dequantize, GivesTheCpusBitsForEveryShapeBlockSizeAndKindOfScale) {
  for (const Shape& s : kShapes)
    for (const int32_t blocksize : kBlockSizes)
      for (const bool nested : {false, true})
        expect_cpu_bits(
            random_weight(WeightFormat::bnb4, s.rows, s.cols, 1, {.blocksize = blocksize, .nested = nested}),
            0, s.rows, 0);
}

TEST_P(Dequantize, WritesRowsOfAnyStrideAndNothingBetweenThem) {
  for (const Shape& s : kShapes)
    for (const int64_t gap : {1, 8, 16})
      expect_cpu_bits(random_weight(WeightFormat::bnb4, s.rows, s.cols, 2, {.nested = true}), 0, s.rows, gap);
}

TEST_P(Dequantize, GivesRangesOfRowsThatBeginInsideABlock) {
  for (const int64_t cols : {5, 40, 200})
    for (const int64_t gap : {0, 8})
      expect_cpu_bits(random_weight(WeightFormat::bnb4, 19, cols, 3, {.blocksize = 256, .nested = true}), 3,
                      11, gap);
}

TEST_P(Dequantize, TakesTheCodeBookAsData) {
  OwnedWeight w = random_weight(WeightFormat::bnb4, 16, 64, 4);
  w.w.code = kFp4Code.data();
  expect_cpu_bits(w, 0, 16, 0);
}

TEST_P(Dequantize, TakesOuterBlocksOfAnySize) {
  OwnedWeight w = random_weight(WeightFormat::bnb4, 64, 320, 5, {.nested = true});
  w.w.nested_blocksize = 37;
  w.nested_absmax.resize(9, 0.07f);  // ceil(320 blocks / 37)
  w.w.nested_absmax = w.nested_absmax.data();
  expect_cpu_bits(w, 0, 64, 0);
}

INSTANTIATE_TEST_SUITE_P(Types, Dequantize, ::testing::Values(DType::bf16, DType::f32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace lorikeet::test
