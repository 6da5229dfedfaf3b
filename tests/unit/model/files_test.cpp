#include "model/files.h"

#include <gmock/gmock.h>

#include <cmath>

#include "model/rope_table.h"
#include "unit/io/temp_folder.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

using ::testing::ElementsAre;

class ModelFilesTest : public TempFolder {};

TEST_F(ModelFilesTest, AFolderGivesConfigTensorsAndEosIds) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  EXPECT_EQ(files.spec().hidden_size, 36);
  EXPECT_EQ(files.tensors().size(), 2u * 9 + 3);
  EXPECT_THAT(files.eos_token_ids(), ElementsAre(3, 5));
  EXPECT_EQ(files.name(), "m");
  EXPECT_EQ(files.stored_dtype(), DType::f32);
  EXPECT_FALSE(files.quantized());
}

TEST_F(ModelFilesTest, GenerationConfigWinsOverConfigForEos) {
  write_hf_folder(path("m"));
  write("m/generation_config.json", R"({"eos_token_id": 7, "temperature": 0.6})");
  EXPECT_THAT(ModelFiles::open(path("m")).eos_token_ids(), ElementsAre(7));
}

TEST_F(ModelFilesTest, MissingTensorsAreNamedAndCounted) {
  OnDisk m;
  m.change_list = [](auto& list) {
    std::erase_if(list, [](const ExpectedTensor& t) { return t.name.find("k_proj") != std::string::npos; });
  };
  write_hf_folder(path("m"), m);
  expect_error([&] { ModelFiles::open(path("m")); }, ErrorKind::format,
               {"2 of 21 tensors are missing", "model.layers.0.self_attn.k_proj.weight", path("m")});
}

TEST_F(ModelFilesTest, AMisshapenTensorIsNamedWithBothShapes) {
  OnDisk m;
  write_hf_folder(path("m"), m);
  Json config = tiny_config();
  config["intermediate_size"] = 51;
  write("m/config.json", to_text(config));
  expect_error([&] { ModelFiles::open(path("m")); }, ErrorKind::format,
               {"wrong shape", "[52,36]", "[51,36]"});
}

TEST_F(ModelFilesTest, AQuantizedCheckpointIsRefusedByItsMethod) {
  OnDisk m;
  m.config["quantization_config"] = {{"quant_method", "aqlm"}, {"bits", 2}};
  write_hf_folder(path("m"), m);
  expect_error([&] { ModelFiles::open(path("m")); }, ErrorKind::unsupported, {"aqlm", "quantization_config"});
}

TEST_F(ModelFilesTest, ExtraTensorsAreListedButNotTheTiedHeadsCopy) {
  OnDisk m;
  m.change_list = [](auto& list) { list.push_back({"model.extra.weight", 2, 3, TensorRole::linear}); };
  write_hf_folder(path("m"), m);
  EXPECT_THAT(ModelFiles::open(path("m")).unexpected(), ElementsAre("model.extra.weight"));
  Json tied = tiny_config();
  tied["tie_word_embeddings"] = true;
  write("m/config.json", to_text(tied));
  EXPECT_THAT(ModelFiles::open(path("m")).unexpected(), ElementsAre("model.extra.weight"));
}

TEST_F(ModelFilesTest, PathsThatAreNoModelAreRefusedWithAHint) {
  expect_error([&] { ModelFiles::open(path("nothing")); }, ErrorKind::usage, {"does not exist"});
  std::filesystem::create_directory(path("empty"));
  expect_error([&] { ModelFiles::open(path("empty")); }, ErrorKind::usage, {"config.json is missing"});
  std::filesystem::create_directory(path("adapter"));
  write("adapter/adapter_config.json", "{}");
  expect_error([&] { ModelFiles::open(path("adapter")); }, ErrorKind::usage, {"is an adapter", "--adapter"});
  write_hf_folder(path("m"));
  expect_error([&] { ModelFiles::open(path("m/model.safetensors")); }, ErrorKind::usage,
               {"weight file", "folder"});
}

TEST_F(ModelFilesTest, TheFingerprintFollowsTheWeightsNotThePath) {
  write_hf_folder(path("a"));
  write_hf_folder(path("b"));
  OnDisk other;
  other.change_values = [](const std::string& name, std::vector<float>& v) {
    if (name == "model.norm.weight") v[0] += 1;
  };
  write_hf_folder(path("c"), other);
  const std::string a = ModelFiles::open(path("a")).fingerprint();
  EXPECT_EQ(a.size(), 32u);
  EXPECT_EQ(a, ModelFiles::open(path("b")).fingerprint());
  EXPECT_NE(a, ModelFiles::open(path("c")).fingerprint());
}

TEST_F(ModelFilesTest, AGgufFileGivesTheSameConfigurationAsItsFolder) {
  write_hf_folder(path("m"));
  write_gguf(path("m.gguf"));
  const ModelFiles hf = ModelFiles::open(path("m")), gguf = ModelFiles::open(path("m.gguf"));
  Json expected = tiny_config();
  expected["torch_dtype"] = "bfloat16";  // the guess for every GGUF file
  for (const auto& [key, value] : expected.items()) EXPECT_EQ(gguf.config().json().at(key), value) << key;
  EXPECT_EQ(gguf.name(), "tiny");
  EXPECT_THAT(gguf.eos_token_ids(), ElementsAre(3, 5));
  EXPECT_EQ(gguf.tensors().size(), hf.tensors().size());
  EXPECT_TRUE(gguf.unexpected().empty());
}

TEST_F(ModelFilesTest, AFolderWithOneGgufFileIsThatFile) {
  std::filesystem::create_directory(path("d"));
  write_gguf(path("d/m.gguf"));
  EXPECT_TRUE(ModelFiles::open(path("d")).is_gguf());
  write_gguf(path("d/n.gguf"));
  expect_error([&] { ModelFiles::open(path("d")); }, ErrorKind::usage, {"2 .gguf files"});
}

TEST_F(ModelFilesTest, AGgufFileWithoutOutputIsTied) {
  OnDisk m;
  m.config["tie_word_embeddings"] = true;
  write_gguf(path("m.gguf"), m);
  EXPECT_TRUE(ModelFiles::open(path("m.gguf")).spec().tie_word_embeddings);
}

/// The fixture with another value of a uint32 key.
std::string with_number(std::string gguf, const std::string& key, uint32_t value) {
  const size_t at = gguf.find(key) + key.size() + sizeof(uint32_t);  // behind the key: type, value
  std::memcpy(gguf.data() + at, &value, sizeof(value));
  return gguf;
}

class GgufExperts : public ModelFilesTest {
 protected:
  const std::string fixture_ = std::string(LORIKEET_FIXTURES) + "/models/mixtral_gguf/model.gguf";
};

TEST_F(GgufExperts, AreEqualPartsOfOneTensor) {
  const ModelFiles files = ModelFiles::open(fixture_);
  EXPECT_EQ(files.spec().architecture, "MixtralForCausalLM");
  const auto expert = [&](int number) -> const SourceTensor& {
    return files.at(fmt::format("model.layers.1.block_sparse_moe.experts.{}.w2.weight", number));
  };
  const auto* first = static_cast<const std::byte*>(expert(0).stored.data);
  for (int e = 0; e < 4; ++e) {
    EXPECT_EQ(expert(e).stored_name, "blk.1.ffn_down_exps.weight");
    EXPECT_EQ(expert(e).bytes(), 32u * 2 * 34);  // 32 rows of two Q8_0 blocks
    EXPECT_EQ(expert(e).stored.data, first + static_cast<size_t>(e) * expert(e).bytes());
  }
}

TEST_F(GgufExperts, InAnotherNumberThanTheKeySaysAreRefused) {
  write("three.gguf", with_number(read(fixture_), "llama.expert_count", 3));
  expect_error([&] { ModelFiles::open(path("three.gguf")); }, ErrorKind::format,
               {"blk.0.ffn_gate_exps.weight", "[4,64,32]", "[3,64,32]"});
  write("none.gguf", with_number(read(fixture_), "llama.expert_count", 0));
  expect_error([&] { ModelFiles::open(path("none.gguf")); }, ErrorKind::format, {"blk.0.ffn_gate.weight"});
}

TEST_F(GgufExperts, OfOtherArchitecturesAreRefused) {
  std::string file = read(fixture_);
  for (size_t at = 0; (at = file.find("llama", at)) != std::string::npos;) file.replace(at, 5, "qwen2");
  write("other.gguf", file);
  expect_error([&] { ModelFiles::open(path("other.gguf")); }, ErrorKind::unsupported,
               {"qwen2", "4 experts", "qwen3moe"});
}

TEST_F(ModelFilesTest, UnsupportedGgufRopeScalingIsRefusedByKey) {
  write_gguf(path("other.gguf"), {}, false,
             [](GgufWriter& w) { w.add_string("llama.rope.scaling.type", "spiral"); });
  expect_error([&] { ModelFiles::open(path("other.gguf")); }, ErrorKind::unsupported,
               {"spiral", "llama.rope.scaling.type"});
  write_gguf(path("linear.gguf"), {}, false, [](GgufWriter& w) {
    w.add_string("llama.rope.scaling.type", "linear");
    w.add_float32("llama.rope.scaling.factor", 4);
  });
  const ModelFiles linear = ModelFiles::open(path("linear.gguf"));
  EXPECT_EQ(linear.spec().rope.scaling, RopeScaling::linear);
  EXPECT_EQ(linear.spec().rope.factor, 4);
}

TEST_F(ModelFilesTest, YarnOfAGgufFileIsWhatLlamaCppComputes) {
  const auto open = [&](const char* key, float value) {
    write_gguf(path("yarn.gguf"), {}, false, [&](GgufWriter& w) {
      w.add_string("llama.rope.scaling.type", "yarn");
      w.add_float32("llama.rope.scaling.factor", 4);
      w.add_float32(std::string("llama.rope.scaling.") + key, value);
    });
    return ModelFiles::open(path("yarn.gguf"));
  };
  const double implied = 0.1 * std::log(4.0) + 1;
  const RopeSpec rope = open("yarn_beta_fast", 7).spec().rope;
  EXPECT_EQ(rope.scaling, RopeScaling::yarn);
  EXPECT_EQ(rope.beta_fast, 7);
  EXPECT_EQ(rope.attention_factor, implied);
  EXPECT_EQ(rope.original_max_position_embeddings, 64);
  EXPECT_EQ(open("attn_factor", static_cast<float>(1.5 / implied)).spec().rope.attention_factor, 1.5);
  expect_error([&] { open("attn_factor", 0); }, ErrorKind::format, {"attention factor 0 is impossible"});
  expect_error([&] { open("yarn_attn_factor", 1); }, ErrorKind::unsupported,
               {"llama.cpp ignores the attention factor 1", "yarn_attn_factor"});
  expect_error([&] { open("yarn_ext_factor", 0.5); }, ErrorKind::unsupported, {"yarn_ext_factor = 0.5"});
  expect_error([&] { open("yarn_log_multiplier", 0.1f); }, ErrorKind::unsupported, {"yarn_log_multiplier"});
}

TEST_F(ModelFilesTest, APartOfEachHeadTurnsWhereTheArchitectureHasThat) {
  const auto with_rotary = [&](const std::string& family, const std::string& key, uint32_t count) {
    const std::string file = family + ".gguf";
    write(file, with_number(read(std::string(LORIKEET_FIXTURES) + "/models/" + family + "_gguf/model.gguf"),
                            key + ".rope.dimension_count", count));
    return path(file);
  };
  EXPECT_EQ(ModelFiles::open(with_rotary("phi", "phi2", 6)).spec().rope.rotary_dim, 6);
  for (const uint32_t impossible : {0u, 3u, 10u})
    expect_error([&] { ModelFiles::open(with_rotary("phi", "phi2", impossible)); }, ErrorKind::format,
                 {"cannot turn in pairs", "phi2.rope.dimension_count"});
  expect_error([&] { ModelFiles::open(with_rotary("llama", "llama", 6)); }, ErrorKind::unsupported,
               {"6 of 8", "llama.rope.dimension_count"});
}

TEST_F(ModelFilesTest, LongropeIsForPhi3) {
  std::string file = read(std::string(LORIKEET_FIXTURES) + "/models/phi3_longrope_gguf/model.gguf");
  const size_t at = file.find("rope_factors_short.weight");
  file.replace(at, 25, "rope_factors_other.weight");
  write("one.gguf", file);
  expect_error([&] { ModelFiles::open(path("one.gguf")); }, ErrorKind::format, {"rope_factors_short.weight"});
  OnDisk m;
  m.rope_factors = {1, 2, 4};
  m.rope_factors_name = "rope_factors_long.weight";
  write_gguf(path("llama.gguf"), m);
  expect_error([&] { ModelFiles::open(path("llama.gguf")); }, ErrorKind::unsupported,
               {"longrope", "rope_factors_long.weight"});
}

TEST_F(ModelFilesTest, Llama3RopeScalingIsFoundFromItsDivisors) {
  RopeSpec plain, scaled;
  plain.rotary_dim = 64;
  plain.theta = 500000;
  scaled = plain;
  scaled.scaling = RopeScaling::llama3;
  scaled.factor = 32;
  scaled.original_max_position_embeddings = 8192;
  const std::vector<float> base = rope_inverse_frequencies(plain, 1),
                           turned = rope_inverse_frequencies(scaled, 1);
  OnDisk m;
  m.config["head_dim"] = 64;
  m.config["hidden_size"] = 6 * 64;
  m.config["rope_theta"] = 500000.0;
  for (size_t i = 0; i < base.size(); ++i) m.rope_factors.push_back(base[i] / turned[i]);
  write_gguf(path("m.gguf"), m);
  const ModelFiles files = ModelFiles::open(path("m.gguf"));
  EXPECT_EQ(files.spec().rope.scaling, RopeScaling::llama3);
  EXPECT_EQ(rope_inverse_frequencies(files.spec().rope, 1), turned);
  EXPECT_TRUE(files.unexpected().empty());
  m.rope_factors[20] *= 0.9f;
  write_gguf(path("other.gguf"), m);
  expect_error([&] { ModelFiles::open(path("other.gguf")); }, ErrorKind::unsupported, {"rope factor 20"});
}

}  // namespace
}  // namespace lorikeet::testing
