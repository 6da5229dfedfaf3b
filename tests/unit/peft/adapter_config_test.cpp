#include "peft/adapter_config.h"

#include "io/json.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class AdapterConfigTest : public TempFolder {
 protected:
  AdapterConfig read(const std::string& json) const {
    write("adapter_config.json", json);
    return AdapterConfig::read(folder_);
  }
  AdapterConfig with(const std::string& fields) const {
    return read(R"({"peft_type":"LORA","target_modules":["q_proj"],)" + fields + "}");
  }
  static std::string fixture(const std::string& name) {
    return std::string(LORIKEET_FIXTURES) + "/models/llama/" + name;
  }
};

TEST_F(AdapterConfigTest, ReadsWhatPeftWrote) {
  const AdapterConfig c = AdapterConfig::read(fixture("adapter_patterns"));
  EXPECT_EQ(c.targets.r, 4);
  EXPECT_EQ(c.targets.alpha, 6);
  EXPECT_EQ(c.targets.targets, ModuleSelection(std::vector<std::string>{"o_proj", "q_proj", "up_proj"}));
  EXPECT_EQ(c.targets.layers_to_transform, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(c.targets.rank_pattern.at("layers.1.self_attn.q_proj"), 7);
  EXPECT_EQ(c.targets.alpha_pattern.at("o_proj"), 9);
  EXPECT_TRUE(c.ignored.empty());
}

TEST_F(AdapterConfigTest, WhatIsWrittenIsReadBackTheSame) {
  for (const char* name : {"adapter_all", "adapter_list", "adapter_patterns", "adapter_regex"}) {
    const AdapterConfig c = AdapterConfig::read(fixture(name));
    const AdapterConfig again = read(c.to_json_text());
    EXPECT_EQ(again.to_json_text(), c.to_json_text()) << name;
    EXPECT_EQ(again.targets.targets, c.targets.targets) << name;
    EXPECT_EQ(again.targets.rank_pattern, c.targets.rank_pattern) << name;
  }
}

TEST_F(AdapterConfigTest, EveryWrittenFieldIsPeftsWithSortedKeys) {
  const Json peft = read_json_file(fixture("adapter_patterns") + "/adapter_config.json");
  const std::string text = AdapterConfig::read(fixture("adapter_patterns")).to_json_text();
  const Json ours = Json::parse(text);
  std::string last;
  for (const auto& [key, value] : ours.items()) {
    EXPECT_LT(last, key);
    last = key;
    ASSERT_TRUE(peft.contains(key)) << key;
    EXPECT_EQ(value, peft[key]) << key;
  }
  EXPECT_EQ(text.substr(0, 5), "{\n  \"");
}

TEST_F(AdapterConfigTest, DefaultsArePefts) {
  const AdapterConfig c = read(R"({"peft_type":"LORA","target_modules":"all-linear"})");
  EXPECT_EQ(c.targets.r, 8);
  EXPECT_EQ(c.targets.alpha, 8);
}

TEST_F(AdapterConfigTest, FieldsThatWouldChangeResultsAreRefusedByName) {
  for (const char* field :
       {R"("bias":"all")", R"("layer_replication":[[0,1]])", R"("target_parameters":["w"])",
        R"("alora_invocation_tokens":[1])", R"("task_type":"SEQ_CLS")", R"("init_lora_weights":"pissa")",
        R"("init_lora_weights":"olora")", R"("init_lora_weights":"loftq")"}) {
    const std::string name = std::string(field).substr(1, std::string(field).find('"', 1) - 1);
    expect_error([&] { with(field); }, ErrorKind::unsupported, {name});
  }
  expect_error([&] { read(R"({"peft_type":"IA3"})"); }, ErrorKind::unsupported, {"peft_type", "IA3"});
}

TEST_F(AdapterConfigTest, TokensAreAListForTheEmbeddingOrByModule) {
  const auto written = [](const AdapterConfig& c) {
    return Json::parse(c.to_json_text()).at("trainable_token_indices");
  };
  const AdapterConfig list = with(R"("trainable_token_indices":[9,1])"),
                      map = with(R"("trainable_token_indices":{"lm_head":[4]})");
  EXPECT_EQ(list.trainable_token_indices.at(""), (std::vector<int64_t>{9, 1}));
  EXPECT_EQ(written(list), Json({9, 1}));
  EXPECT_EQ(map.trainable_token_indices.at("lm_head"), std::vector<int64_t>{4});
  EXPECT_EQ(written(map), Json({{"lm_head", {4}}}));
  EXPECT_EQ(written(with(R"("r":4)")), Json(nullptr));
}

TEST_F(AdapterConfigTest, UnknownFieldsAreKeptOutAndListed) {
  const AdapterConfig c = with(R"("from_the_future":1,"r":4)");
  EXPECT_EQ(c.ignored, std::vector<std::string>{"from_the_future"});
  EXPECT_EQ(c.to_json_text().find("from_the_future"), std::string::npos);
}

TEST_F(AdapterConfigTest, BrokenFilesAreRefusedByField) {
  expect_error([&] { read("{}"); }, ErrorKind::format, {"peft_type"});
  expect_error([&] { read("[]"); }, ErrorKind::format, {"object"});
  expect_error([&] { with(R"("r":0)"); }, ErrorKind::format, {"rank", "\"r\""});
  expect_error([&] { with(R"("r":"8")"); }, ErrorKind::format, {"whole number", "\"r\""});
  expect_error([&] { with(R"("rank_pattern":{"a":-1})"); }, ErrorKind::format, {"rank"});
  expect_error([&] { with(R"("rank_pattern":[1])"); }, ErrorKind::format, {"rank_pattern"});
  expect_error([&] { read(R"({"peft_type":"LORA","target_modules":[1]})"); }, ErrorKind::format,
               {"target_modules"});
  expect_error([&] { AdapterConfig::read(path("none")); }, ErrorKind::usage, {"does not exist"});
}

}  // namespace
}  // namespace lorikeet::testing
