// What a configuration may say: every field is read, harmless, or refused by name and value.
#include <gmock/gmock.h>

#include "model/adapter_targets.h"
#include "model/arch/registry.h"
#include "unit/io/temp_folder.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

Json fixture_config(const std::string& name) {
  return read_json_file(std::string(LORIKEET_FIXTURES) + "/models/" + name + "/config.json");
}
ModelSpec spec_of_json(const Json& config) { return read_model_spec(HfConfig(config, "config.json")); }

struct Refused {
  const char* fixture;
  const char* field;
  Json value;
};
class RefusedField : public TempFolder, public ::testing::WithParamInterface<Refused> {};

TEST_P(RefusedField, IsNamedWithItsValue) {
  const auto& [fixture, field, value] = GetParam();
  Json config = fixture_config(fixture);
  ASSERT_NO_THROW(spec_of_json(config));
  config[field] = value;
  expect_error([&] { spec_of_json(config); }, ErrorKind::unsupported, {field, value.dump()});
}

INSTANTIATE_TEST_SUITE_P(
    OfAFamily, RefusedField,
    ::testing::Values(Refused{"llama", "pretraining_tp", 2}, Refused{"llama", "some_new_trick", true},
                      Refused{"llama", "sliding_window", 4096}, Refused{"qwen3", "num_experts", 8},
                      Refused{"qwen2", "use_mrope", true}, Refused{"mixtral", "output_router_logits", true},
                      Refused{"mixtral", "router_jitter_noise", 0.1},
                      Refused{"qwen3_moe", "output_router_logits", true},
                      Refused{"qwen3_moe", "use_sliding_window", true},
                      Refused{"qwen3_moe", "shared_expert_intermediate_size", 64}),
    [](const auto& info) { return std::string(info.param.fixture) + "_" + info.param.field; });

TEST(Configuration, FieldsThatSayNothingOrAreKnownToBeHarmlessPass) {
  Json config = fixture_config("llama");
  config["some_new_trick"] = false;
  config["another"] = nullptr;
  config["list"] = Json::array();
  config["_name_or_path"] = "x";
  config["unsloth_version"] = "2024.9";
  config["attention_dropout"] = 0.1;
  EXPECT_NO_THROW(spec_of_json(config));
}

class RopeConfiguration : public TempFolder {};

TEST_F(RopeConfiguration, AFieldThatIsNotKnownIsRefusedByName) {
  Json config = fixture_config("llama");
  config["rope_parameters"]["mrope_section"] = {1, 1, 1};
  expect_error([&] { spec_of_json(config); }, ErrorKind::unsupported, {"mrope_section", "[1,1,1]"});
  config["rope_parameters"] = {{"rope_type", "spiral"}, {"rope_theta", 500.0}};
  expect_error([&] { spec_of_json(config); }, ErrorKind::unsupported, {"spiral", "longrope"});
}

TEST_F(RopeConfiguration, LayerTypesMustFitTheLayers) {
  Json config = fixture_config("qwen2_window");
  config["layer_types"] = {"full_attention"};
  expect_error([&] { spec_of_json(config); }, ErrorKind::format, {"1 layer types for 3 layers"});
  config["layer_types"] = {"full_attention", "linear_attention", "full_attention"};
  expect_error([&] { spec_of_json(config); }, ErrorKind::unsupported, {"linear_attention"});
}

TEST(Windows, OfAConfigurationWithNullAreNone) {
  Json config = fixture_config("mistral");
  config["sliding_window"] = nullptr;
  EXPECT_EQ(spec_of_json(config).window, std::vector<int64_t>(2, 0));
  config.erase("sliding_window");  // transformers' default
  EXPECT_EQ(spec_of_json(config).window, std::vector<int64_t>(2, 4096));
}

class Experts : public TempFolder {};

TEST_F(Experts, StandInTheLayersThatTransformersPutsThemIn) {
  Json config = fixture_config("qwen3_moe");
  config["num_hidden_layers"] = 6;
  config["decoder_sparse_step"] = 2;
  config["mlp_only_layers"] = {3, 17};
  std::vector<bool> found;
  const ModelSpec spec = spec_of_json(config);
  for (int64_t i = 0; i < 6; ++i) found.push_back(spec.has_experts(i));
  EXPECT_EQ(found, (std::vector<bool>{false, true, false, false, false, true}));
}

TEST_F(Experts, HaveTheSameNumberUnderBothNames) {
  Json config = fixture_config("qwen3_moe");
  config.erase("num_local_experts");
  config["num_experts"] = 9;
  EXPECT_EQ(spec_of_json(config).num_local_experts, 9);
}

TEST_F(Experts, InImpossibleNumbersAreRefused) {
  Json config = fixture_config("mixtral");
  config["num_experts_per_tok"] = 5;
  expect_error([&] { spec_of_json(config); }, ErrorKind::format, {"num_experts_per_tok", "5"});
  config["num_experts_per_tok"] = 0;
  expect_error([&] { spec_of_json(config); }, ErrorKind::format, {"num_experts_per_tok", "0"});
  config = fixture_config("mixtral");
  config["num_local_experts"] = 4096;
  config["num_hidden_layers"] = 4096;
  expect_error([&] { spec_of_json(config); }, ErrorKind::format, {"experts", "16777216"});
}

class ExpertTargets : public Experts {
 protected:
  void expect_refused(const std::string& fixture, const ModuleSelection& targets, const char* module) {
    TargetOptions options;
    options.targets = targets;
    expect_error([&] { adapter_targets(spec_of_json(fixture_config(fixture)), options); },
                 ErrorKind::unsupported, {module, "q_proj,k_proj,v_proj,o_proj"});
  }
  using Names = std::vector<std::string>;
};

TEST_F(ExpertTargets, AreRefusedByName) {
  expect_refused("mixtral", Names{"q_proj", "w2"}, "model.layers.0.block_sparse_moe.experts.0.w2");
  expect_refused("mixtral", R"(.*layers\.1\..*\.3\.w1)", "model.layers.1.block_sparse_moe.experts.3.w1");
  expect_refused("qwen3_moe", Names{"gate"}, "model.layers.1.mlp.gate");
}

TEST_F(ExpertTargets, AreMeantByAllLinearAsInPeft) {
  expect_refused("mixtral", "all-linear", "model.layers.0.block_sparse_moe.gate");
}

TEST_F(ExpertTargets, AreMeantByTheNamesOfADenseMlpAsInPeft) {
  expect_refused("qwen3_moe", R"(model\.layers\.0\.mlp\.up_proj)", "model.layers.0.mlp.up_proj");
}

TEST_F(ExpertTargets, LeaveTheAttentionFree) {
  TargetOptions options;
  options.targets = Names{"q_proj", "o_proj"};
  EXPECT_EQ(adapter_targets(spec_of_json(fixture_config("qwen3_moe")), options).size(), 4u);
}

TEST(Readme, PageOfFamiliesNamesEachOfTheRegistryInOrder) {
  const std::string page = read_text_file(std::string(LORIKEET_SOURCE_DIR) + "/docs/families.md");
  size_t at = 0;
  for (const Architecture& a : architectures()) {
    at = page.find(fmt::format("\n| {} | `{}` |", a.family, a.name), at);
    ASSERT_NE(at, std::string::npos) << a.name << ": run tools/family_table";
  }
}

TEST(Readme, TableOfFamiliesIsTheRegistry) {
  const std::string readme = read_text_file(std::string(LORIKEET_SOURCE_DIR) + "/README.md");
  std::string table = "| Models | Architecture | GGUF |\n| --- | --- | --- |\n";
  for (const Architecture& a : architectures()) {
    const std::string_view gguf = gguf_architecture(a.name);
    table +=
        fmt::format("| {} | `{}` | {} |\n", a.family, a.name, gguf.empty() ? "" : fmt::format("`{}`", gguf));
  }
  EXPECT_NE(readme.find("\n" + table + "\n"), std::string::npos) << "the table should be\n" << table;
}

}  // namespace
}  // namespace lorikeet::testing
