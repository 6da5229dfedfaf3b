// GPTQ and AWQ against the values that GPTQModel's and AutoAWQ's own code decodes (tools/check_packed.py).
#include "quant/format.h"
#include "records.h"

namespace lorikeet {
namespace {

using testing::bits;
using testing::Records;

constexpr int64_t kSize = 32;  // rows and columns of every recorded matrix

/// A recorded matrix by its name: "gptq/<bits>/<group size>/<version>" or "awq/4/<group size>/".
struct Recorded {
  Weight w;
  std::vector<uint32_t> codes, zeros;
  std::vector<uint16_t> scales;
  std::vector<int32_t> group_of;
  std::vector<float> values;

  Recorded(const Records& records, const std::string& name)
      : codes(records.get<uint32_t>(name + "/qweight")),
        zeros(records.get<uint32_t>(name + "/qzeros")),
        scales(records.get<uint16_t>(name + "/scales")),
        values(records.get<float>(name + "/values")) {
    const bool gptq = name.starts_with("gptq");
    if (gptq) group_of = records.get<int32_t>(name + "/g_idx");
    const size_t bits_at = name.find('/') + 1, size_at = name.find('/', bits_at) + 1;
    const int64_t group_size = std::stoi(name.substr(size_at));
    w.format = gptq ? WeightFormat::gptq : WeightFormat::awq;
    w.rows = w.cols = kSize;
    w.data = codes.data();
    w.grouped.bits = std::stoi(name.substr(bits_at));
    w.grouped.zero_offset = name.find("/v1") != std::string::npos;
    w.grouped.group_size = group_size == -1 ? kSize : group_size;
    w.grouped.group_of = gptq ? group_of.data() : nullptr;
    w.grouped.zeros = zeros.data();
    w.grouped.scales = scales.data();
  }
};

std::vector<std::string> names(const Records& records) {
  std::vector<std::string> found;
  for (const auto& [key, content] : records.all())
    if (key.ends_with("/values")) found.push_back(key.substr(0, key.rfind('/')));
  return found;
}

TEST(GroupedFormats, ValuesEqualTheLibrariesBitForBit) {
  const Records records("grouped.bin");
  for (const std::string& name : names(records)) {
    const Recorded r(records, name);
    std::vector<float> values(r.values.size());
    decode_rows(r.w, 0, kSize, 0, kSize, values.data(), kSize);
    EXPECT_EQ(bits(values), bits(r.values)) << name;
  }
  EXPECT_EQ(names(records).size(), 14u);
}

TEST(GroupedFormats, TilesEqualTheWhole) {
  const Records records("grouped.bin");
  for (const std::string& name : names(records)) {
    const Recorded r(records, name);
    std::vector<float> tile(5 * 9), flat(80);
    decode_rows(r.w, 3, 8, 11, 20, tile.data(), 9);
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t k = 0; k < 9; ++k) EXPECT_EQ(tile[i * 9 + k], r.values[(3 + i) * kSize + 11 + k]) << name;
    decode_flat(r.w, 20, 100, flat.data());
    EXPECT_EQ(flat, std::vector<float>(r.values.begin() + 20, r.values.begin() + 100)) << name;
  }
}

TEST(GroupedFormats, AZeroThatWrappedInVersionOneCarriesIntoTheNextField) {
  const Records records("grouped.bin");
  const Recorded r(records, "gptq/4/8/v1");
  // The recorded matrix has such zeros, or the test above would prove nothing about them.
  int wrapped = 0;
  for (const uint32_t word : r.zeros)
    for (int i = 0; i < 7; ++i) wrapped += (word >> 4 * i & 15) == 15;
  EXPECT_GT(wrapped, 0);
}

}  // namespace
}  // namespace lorikeet
