#include <gmock/gmock.h>

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaRows = OnDevice;

constexpr int64_t kVocab = 41;

/// Row numbers with repetitions, the first of them the most frequent.
std::vector<int32_t> tokens(int64_t n) {
  std::mt19937 g(9);
  std::vector<int32_t> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(g() % 3 == 0 ? 7 : static_cast<int32_t>(g() % kVocab));
  return all;
}

TEST_F(CudaRows, LookUpEmbeddingsLikeTheReference) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const std::vector<int32_t> ids = tokens(s.rows);
    const DeviceArray<int32_t> dids(ids);
    for (const DType table_type : {DType::f32, DType::bf16, DType::f16})
      for (const bool accumulate : {false, true}) {
        const Matrix table = Matrix::random(kVocab, s.cols, table_type, 1),
                     before = Matrix::random(s.rows, s.cols, type, 2, 1, gap), want = wide(before),
                     table64 = wide(table);
        const DeviceMatrix dtable(table), y(before);
        const Weight w = Weight::dense(dtable), w64 = Weight::dense(table64);
        run_on_device(EmbeddingArgs{y, &w, dids.data(), 1.7, accumulate});
        run_reference(EmbeddingArgs{want, &w64, ids.data(), 1.7, accumulate});
        const Matrix got = y.download();
        EXPECT_LT(nmse(got, want), one_rounding(type)) << name_of(table_type) << accumulate;
        EXPECT_TRUE(got.gaps_untouched());
      }
  });
}

// In token order, so with the bits of the CPU.
TEST_F(CudaRows, SumTheGradientOfEmbeddingsBitForBitLikeTheCpu) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    const std::vector<int32_t> ids = tokens(s.rows);
    const DeviceArray<int32_t> dids(ids);
    const Matrix dy = Matrix::random(s.rows, s.cols, type, 1, 1, gap);
    Matrix dtable = Matrix::random(kVocab, s.cols, DType::f32, 2, 1, gap);
    const DeviceMatrix ddy(dy), ddtable(dtable);
    run_on_device(EmbeddingBwdArgs{ddtable, ddy, dids.data(), 0.5});
    run_row(name_of(Isa::avx2), EmbeddingBwdArgs{dtable, dy, ids.data(), 0.5});
    EXPECT_TRUE(ddtable.download().same_bytes(dtable));
  });
}

TEST_F(CudaRows, GatherAndScatterExactly) {
  for_each_row_case([](DType type, const Shape& s, int64_t gap) {
    std::vector<int32_t> at;  // every other row of twice as many, from the end
    for (int64_t i = 0; i < s.rows; ++i) at.push_back(static_cast<int32_t>(2 * (s.rows - 1 - i)));
    const DeviceArray<int32_t> dat(at);
    const Matrix few = Matrix::random(s.rows, s.cols, type, 1, 1, gap),
                 many = Matrix::random(2 * s.rows, s.cols, type, 2, 1, gap);
    Matrix gathered(s.rows, s.cols, type, gap), scattered = many;
    const DeviceMatrix dfew(few), dmany(many), dgathered(gathered), dscattered(many);
    run_on_device(GatherRowsArgs{dgathered, dmany, dat.data()});
    run_on_device(ScatterRowsArgs{dscattered, dfew, dat.data()});
    run_row(portable_name(type), GatherRowsArgs{gathered, many, at.data()});
    run_row(portable_name(type), ScatterRowsArgs{scattered, few, at.data()});
    EXPECT_TRUE(dgathered.download().same_bytes(gathered));
    EXPECT_TRUE(dscattered.download().same_bytes(scattered));
  });
}

TEST(CudaEmbeddingKernel, SaysThatItsTableMustBeDense) {
  const Matrix y(2, 64, DType::bf16);
  const OwnedWeight table = random_weight(WeightFormat::bnb4, 8, 64, 1);
  EXPECT_THAT(cuda_kernels<EmbeddingArgs>()[0].reject({y, &table.w, nullptr}), ::testing::HasSubstr("dense"));
}

}  // namespace
}  // namespace lorikeet::test
