#include "quant/format.h"

#include "core/error.h"
#include "quant/encode.h"
#include "records.h"

namespace lorikeet {
namespace {

using testing::bits;
using testing::Records;

// A weight of the fixture's 6 blocks as 3 rows of 2 blocks.
Weight gguf_weight(const FormatInfo& info, const std::vector<uint8_t>& blocks) {
  Weight w;
  w.format = info.format;
  w.rows = 3;
  w.cols = 2 * info.block_elements;
  w.data = blocks.data();
  return w;
}

TEST(DenseWeight, StoredByColumnsDecodesToTheSameRows) {
  const float columns[] = {1, 4, 2, 5, 3, 6};  // of [[1, 2, 3], [4, 5, 6]]
  Weight w;
  w.rows = 2;
  w.cols = 3;
  w.data = columns;
  w.transposed = true;
  std::vector<float> all(6), part(2), flat(3);
  decode_rows(w, 0, 2, 0, 3, all.data(), 3);
  EXPECT_EQ(all, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  decode_rows(w, 1, 2, 1, 3, part.data(), 2);
  EXPECT_EQ(part, (std::vector<float>{5, 6}));
  decode_flat(w, 2, 5, flat.data());
  EXPECT_EQ(flat, (std::vector<float>{3, 4, 5}));
}

TEST(GgufFormats, ValuesEqualTheGgufPackageBitForBit) {
  const Records records("gguf.bin");
  int seen = 0;
  for (const FormatInfo& info : formats()) {
    if (info.block_bytes == 0) continue;
    SCOPED_TRACE(info.name);
    const auto blocks = records.get<uint8_t>(std::string(info.name) + "/blocks");
    const auto expected = records.get<float>(std::string(info.name) + "/values");
    const Weight w = gguf_weight(info, blocks);
    EXPECT_EQ(blocks.size(), static_cast<size_t>(weight_bytes(info.format, DType::f32, w.rows, w.cols)));
    std::vector<float> values(expected.size());
    decode_rows(w, 0, w.rows, 0, w.cols, values.data(), w.cols);
    EXPECT_EQ(bits(values), bits(expected));
    ++seen;
  }
  EXPECT_EQ(seen, 8);
}

TEST(GgufFormats, TilesInsideAndAcrossBlocksEqualTheWhole) {
  const Records records("gguf.bin");
  for (const FormatInfo& info : formats()) {
    if (info.block_bytes == 0) continue;
    SCOPED_TRACE(info.name);
    const auto blocks = records.get<uint8_t>(std::string(info.name) + "/blocks");
    const auto expected = records.get<float>(std::string(info.name) + "/values");
    const Weight w = gguf_weight(info, blocks);
    const int64_t b = info.block_elements;
    for (const auto& [col0, col1] :
         {std::pair<int64_t, int64_t>{0, 1}, {3, 9}, {b - 5, b + 7}, {1, 2 * b}, {b, b}}) {
      std::vector<float> tile(2 * (col1 - col0));
      decode_rows(w, 1, 3, col0, col1, tile.data(), col1 - col0);
      for (int64_t r = 1; r < 3; ++r) {
        for (int64_t c = col0; c < col1; ++c) {
          EXPECT_EQ(tile[(r - 1) * (col1 - col0) + c - col0], expected[r * w.cols + c]);
        }
      }
    }
    std::vector<float> flat(w.cols + 20);
    decode_flat(w, w.cols - 10, 2 * w.cols + 10, flat.data());
    EXPECT_EQ(bits(flat), bits({expected.begin() + w.cols - 10, expected.begin() + 2 * w.cols + 10}));
  }
}

TEST(GgufFormats, EncodedBytesEqualTheGgufPackages) {
  const Records records("gguf.bin");
  const auto values = records.get<float>("encode/values");
  int seen = 0;
  for (const FormatInfo& info : formats()) {
    const BlockEncoder encode = block_encoder(info.format);
    if (!encode) continue;
    SCOPED_TRACE(info.name);
    const auto expected = records.get<uint8_t>(std::string("encode/") + info.name);
    std::vector<uint8_t> bytes(expected.size());
    encode(values.data(), static_cast<int64_t>(values.size()), bytes.data());
    EXPECT_EQ(bytes, expected);
    ++seen;
  }
  EXPECT_EQ(seen, 2);
}

TEST(DenseFormat, ConvertsEveryElementType) {
  const float f[2] = {1.5f, -2};
  const double d[2] = {1.5, -2};
  const Bf16 b[2] = {to_bf16(1.5f), to_bf16(-2)};
  const F16 h[2] = {to_f16(1.5f), to_f16(-2)};
  for (const auto& [data, dtype] :
       {std::pair<const void*, DType>{f, DType::f32}, {d, DType::f64}, {b, DType::bf16}, {h, DType::f16}}) {
    float out[2];
    decode_rows(Weight::dense(TensorView(const_cast<void*>(data), {1, 2}, dtype)), 0, 1, 0, 2, out, 2);
    EXPECT_EQ(out[0], 1.5f);
    EXPECT_EQ(out[1], -2.f);
  }
}

TEST(RowMap, ReadsTheStoredRowItNames) {
  const float x[6] = {0, 1, 10, 11, 20, 21};
  const int32_t map[3] = {2, 0, 1};
  Weight w = Weight::dense(TensorView(const_cast<float*>(x), {3, 2}, DType::f32));
  w.row_map = map;
  float out[4];
  decode_rows(w, 0, 2, 0, 2, out, 2);
  EXPECT_EQ(out[0], 20.f);
  EXPECT_EQ(out[3], 1.f);
}

TEST(GgufRopeOrder, UndoesTheConvertersPermutation) {
  // stored[r] is the number of the Hugging Face row that the converter put there.
  const auto stored = Records("gguf.bin").get<int32_t>("rope/stored");
  const std::vector<int32_t> map = gguf_rope_row_map(3, 8);
  std::vector<int32_t> restored(stored.size());
  gather_rows(stored.data(), restored.data(), 4, map);
  for (size_t i = 0; i < restored.size(); ++i) EXPECT_EQ(restored[i], static_cast<int32_t>(i));
}

TEST(WeightBytes, CountsBlocksAndRefusesPartialOnes) {
  EXPECT_EQ(weight_bytes(WeightFormat::dense, DType::bf16, 3, 5), 30);
  EXPECT_EQ(weight_bytes(WeightFormat::q6_k, DType::f32, 2, 512), 840);
  try {
    weight_bytes(WeightFormat::q4_k, DType::f32, 2, 576);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("rows of 576 elements are no multiple of Q4_K's block of 256"),
              std::string::npos);
  }
  EXPECT_THROW(weight_bytes(WeightFormat::dense, DType::f32, INT64_MAX / 2, 8), Error);
}

}  // namespace
}  // namespace lorikeet
