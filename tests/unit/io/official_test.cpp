// Files written by the official Python packages (tools/make_quant_fixtures.py).
#include <cstring>

#include "io/gguf.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "temp_folder.h"

namespace lorikeet {
namespace {

class OfficialFiles : public testing::TempFolder {
 protected:
  static std::string fixture(const std::string& name) {
    return std::string(LORIKEET_FIXTURES) + "/io/" + name;
  }
};

TEST_F(OfficialFiles, SafetensorsAreReadAndRewrittenByteForByte) {
  const SafetensorsSet set = SafetensorsSet::open_file(fixture("official.safetensors"));
  EXPECT_EQ(set.tensors().size(), 7u);
  EXPECT_EQ(float_view(set.at("model.layers.10.weight"), "t").row<float>(1)[2], 5.f);
  EXPECT_EQ(*float_view(set.at("scalar"), "t").as<float>(), 2.5f);
  std::vector<SafetensorsEntry> entries;
  for (const auto& t : set.tensors()) entries.push_back({t.name, t.type, t.shape});
  SafetensorsWriter w(path("t"), entries);
  for (const auto& t : set.tensors()) w.write(t.name, std::span(t.data, t.bytes));
  w.commit();
  EXPECT_EQ(read(path("t")), read(fixture("official.safetensors")));
}

TEST_F(OfficialFiles, GgufIsReadAsWritten) {
  const GgufFile f = GgufFile::open(fixture("official.gguf"));
  EXPECT_EQ(f.version(), 3u);
  EXPECT_EQ(f.string("general.architecture"), "llama");
  EXPECT_EQ(f.integer("llama.block_count"), 2);
  EXPECT_FLOAT_EQ(static_cast<float>(f.number("llama.attention.layer_norm_rms_epsilon")), 1e-5f);
  EXPECT_EQ(f.strings("tokenizer.ggml.tokens")[2], "é");
  EXPECT_EQ(f.numbers("tokenizer.ggml.scores")[2], -2.5);
  EXPECT_EQ(f.integers("tokenizer.ggml.token_type")[0], 3);
  EXPECT_TRUE(f.boolean("tokenizer.ggml.add_bos_token"));
  const GgufTensor& embedding = f.at("token_embd.weight");
  EXPECT_EQ(embedding.describe(), "[2,3] F32");
  float last;
  std::memcpy(&last, embedding.data + 20, 4);
  EXPECT_EQ(last, 5.f);
  EXPECT_EQ(f.at("blk.0.attn_q.weight").describe(), "[2,64] Q8_0");
  EXPECT_EQ(f.at("blk.0.attn_q.weight").bytes, 4u * 34);
  EXPECT_EQ(f.at("output_norm.weight").describe(), "[2] F16");
}

}  // namespace
}  // namespace lorikeet
