#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/key_value.h"
#include "config/run_keys.h"
#include "lorikeet/config.h"
#include "lorikeet/error.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;

RunConfig from_yaml(const std::string& text) {
  RunConfig config;
  apply_yaml(config, text, "run.yaml");
  return config;
}

/// The error that `action` throws; fails the test if it throws none.
template <class F>
Error error_of(F action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorKind::internal, "none");
}

Error refused_yaml(const std::string& text) {
  return error_of([&] { validate(from_yaml(text)); });
}

Error refused_flag(const std::string& key, const std::string& text) {
  return error_of([&] {
    RunConfig config;
    set_key(config, key, text, "--flag");
    validate(config);
  });
}

TEST(RunConfigDefaults, AreValid) { EXPECT_NO_THROW(validate(RunConfig{})); }

TEST(RunConfigDefaults, AreThoseOfTheContract) {
  const RunConfig c;
  EXPECT_EQ(key_text(c, "lora_r"), "16");
  EXPECT_EQ(key_text(c, "lora_alpha"), "32");
  EXPECT_EQ(key_text(c, "learning_rate"), "0.0002");
  EXPECT_EQ(key_text(c, "adam_epsilon"), "1e-08");
  EXPECT_EQ(key_text(c, "lora_target_modules"), "all-linear");
  EXPECT_EQ(key_text(c, "gradient_checkpointing"), "auto");
  EXPECT_EQ(key_text(c, "init_lora_weights"), "default");
  EXPECT_EQ(key_text(c, "memory_limit"), "null");
}

TEST(KeyTable, HasEveryNameOnceAndAHelpText) {
  std::vector<std::string_view> seen;
  for (const Key<RunConfig>& row : run_keys()) {
    EXPECT_THAT(seen, testing::Not(testing::Contains(row.info.name)));
    EXPECT_FALSE(row.info.help.empty()) << row.info.name;
    seen.push_back(row.info.name);
  }
}

TEST(YamlReader, ReadsEveryTypeOfValue) {
  const RunConfig c = from_yaml(
      "model: m\ndata: [a.jsonl, 'b,c.jsonl']\nmethod: qlora\nlora_r: 8\nlora_alpha: 12.5\nlearning_rate: "
      "2e-5\n"
      "packing: false\nshuffle: no\nlora_target_modules: [q_proj, v_proj]\nlayers_to_transform: [0, 3]\n"
      "gradient_checkpointing: true\nmemory_limit: 6GiB\nthreads: auto\nsystem_prompt: \"a: b\\nc\"\n");
  EXPECT_EQ(c.data, (std::vector<std::string>{"a.jsonl", "b,c.jsonl"}));
  EXPECT_EQ(c.method, Method::qlora);
  EXPECT_EQ(c.lora_r, 8);
  EXPECT_EQ(c.lora_alpha, 12.5);
  EXPECT_EQ(c.learning_rate, 2e-5);
  EXPECT_FALSE(c.shuffle);
  EXPECT_EQ(std::get<1>(c.lora_target_modules), (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(c.layers_to_transform, (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(c.gradient_checkpointing, GradientCheckpointing::on);
  EXPECT_EQ(c.memory_limit, uint64_t{6} << 30);
  EXPECT_FALSE(c.threads.has_value());
  EXPECT_EQ(c.system_prompt, "a: b\nc");
}

TEST(YamlReader, TakesAnEmptyFileForDefaults) { EXPECT_EQ(from_yaml("").lora_r, 16); }

TEST(YamlReader, NotesWhereAKeyWasSet) {
  const RunConfig c = from_yaml("model: m\n\nlora_r: 8\n");
  EXPECT_TRUE(c.is_given("lora_r"));
  EXPECT_FALSE(c.is_given("lora_alpha"));
  EXPECT_EQ(c.given.at("lora_r"), "run.yaml, line 3");
}

TEST(YamlReader, NamesLineAndNearestKeyOfAnUnknownKey) {
  const Error error = refused_yaml("model: m\nlora_aplha: 3\n");
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_EQ(error.message(), "unknown key \"lora_aplha\"");
  EXPECT_EQ(error.where(), "run.yaml, line 2");
  EXPECT_EQ(error.fix(), "did you mean \"lora_alpha\"?");
}

TEST(YamlReader, FindsTheKeyOfWhichOnlyAPartWasWritten) {
  EXPECT_EQ(refused_yaml("target_modules: all\n").fix(), "did you mean \"lora_target_modules\"?");
}

TEST(YamlReader, RefusesAKeyThatStandsTwice) {
  const Error error = refused_yaml("lora_r: 4\nlora_r: 8\n");
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_EQ(error.where(), "run.yaml, line 2");
}

TEST(YamlReader, CallsBrokenYamlAMalformedFile) {
  const Error error = refused_yaml("lora_r: [1, 2\nmodel: }\n");
  EXPECT_EQ(error.kind(), ErrorKind::format);
  EXPECT_THAT(error.where(), HasSubstr("run.yaml, line"));
}

TEST(YamlReader, RefusesAListInPlaceOfTheMap) {
  EXPECT_EQ(refused_yaml("- a\n- b\n").kind(), ErrorKind::usage);
}

TEST(YamlReader, RefusesAnAliasThatContainsItself) {
  EXPECT_EQ(refused_yaml("data: &a [x, *a]\n").kind(), ErrorKind::usage);
}

TEST(YamlReader, RefusesWrongTypesByNameAndLine) {
  for (const char* line : {"lora_r: many", "lora_r: 1.5", "lora_r: [4]", "lora_r: null", "packing: perhaps",
                           "learning_rate: fast", "learning_rate: .nan", "data: {a: b}",
                           "layers_to_transform: [a]", "rank_pattern: [1]", "rank_pattern: {a: 1.5}",
                           "memory_limit: lots", "model: [a]", "lora_target_modules: []"}) {
    const Error error = refused_yaml(std::string("shuffle: true\n") + line + "\n");
    EXPECT_EQ(error.kind(), ErrorKind::usage) << line;
    EXPECT_EQ(error.where(), "run.yaml, line 2") << line;
  }
}

TEST(Flags, ReadListsAsJsonOrWithCommas) {
  RunConfig c;
  set_key(c, "data", "a.jsonl,b.jsonl", "--data");
  EXPECT_EQ(c.data, (std::vector<std::string>{"a.jsonl", "b.jsonl"}));
  set_key(c, "data", R"(["a,b.jsonl"])", "--data");
  EXPECT_EQ(c.data, (std::vector<std::string>{"a,b.jsonl"}));
  set_key(c, "layers_to_transform", "0, 2", "--layers-to-transform");
  EXPECT_EQ(c.layers_to_transform, (std::vector<int64_t>{0, 2}));
}

TEST(Flags, TellModuleNamesFromARegularExpression) {
  RunConfig c;
  const auto names = [&](const std::string& text) {
    set_key(c, "lora_target_modules", text, "--lora-target-modules");
    return c.lora_target_modules;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(names("q_proj,v_proj"), ModuleSelection(List{"q_proj", "v_proj"}));
  EXPECT_EQ(names("q_proj"), ModuleSelection(List{"q_proj"}));
  EXPECT_EQ(names("all-linear"), ModuleSelection("all-linear"));
  EXPECT_EQ(names(R"(.*\.(q|v)_proj)"), ModuleSelection(R"(.*\.(q|v)_proj)"));
  EXPECT_EQ(names(R"(.*layers\.\d{1,2}\..*)"), ModuleSelection(R"(.*layers\.\d{1,2}\..*)"));
  EXPECT_EQ(names("[a-z.0-9_]*"), ModuleSelection("[a-z.0-9_]*"));
}

TEST(Flags, TakeNoneForAKeyWithoutDefault) {
  RunConfig c;
  c.eval_split = 0.1;
  set_key(c, "eval_split", "none", "--eval-split");
  EXPECT_FALSE(c.eval_split.has_value());
}

TEST(Flags, AcceptTheEcosystemsOtherSpellings) {
  RunConfig c;
  set_key(c, "optim", "adamw_torch", "--optim");
  EXPECT_EQ(key_text(c, "optim"), "adamw");
  set_key(c, "compute_dtype", "bf16", "--compute-dtype");
  EXPECT_EQ(key_text(c, "compute_dtype"), "bfloat16");
}

TEST(Flags, SuggestTheNearestWordOfAChoice) {
  const Error error = refused_flag("method", "qlroa");
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_THAT(error.fix(), HasSubstr("did you mean \"qlora\"?"));
}

TEST(Validation, RefusesValuesOutOfRange) {
  for (const auto& [key, text] :
       std::vector<std::pair<std::string, std::string>>{{"lora_r", "0"},
                                                        {"lora_r", "-4"},
                                                        {"lora_dropout", "1"},
                                                        {"lora_dropout", "-0.1"},
                                                        {"bnb_4bit_blocksize", "48"},
                                                        {"bnb_4bit_blocksize", "8192"},
                                                        {"eval_split", "0"},
                                                        {"eval_split", "1"},
                                                        {"max_length", "1"},
                                                        {"learning_rate", "-1"},
                                                        {"adam_beta1", "1"},
                                                        {"warmup_ratio", "1.5"},
                                                        {"max_steps", "0"},
                                                        {"max_steps", "-2"},
                                                        {"threads", "0"},
                                                        {"seed", "-1"},
                                                        {"num_train_epochs", "0"},
                                                        {"device", "gpu"},
                                                        {"device", "cuda:x"},
                                                        {"layers_to_transform", "-1"},
                                                        {"memory_limit", "0"},
                                                        {"per_device_train_batch_size", "0"}}) {
    const Error error = refused_flag(key, text);
    EXPECT_EQ(error.kind(), ErrorKind::usage) << key << " " << text;
    EXPECT_EQ(error.where(), "--flag") << key << " " << text;
    EXPECT_FALSE(error.fix().empty()) << key << " " << text;
  }
}

TEST(Validation, CallsWhatIsNotBuiltUnsupported) {
  for (const auto& [key, text] : std::vector<std::pair<std::string, std::string>>{{"device", "cuda"}}) {
    EXPECT_EQ(refused_flag(key, text).kind(), ErrorKind::unsupported) << key;
  }
}

TEST(Validation, AcceptsTheDefaultOfWhatIsNotBuilt) {
  EXPECT_NO_THROW(validate(from_yaml("optim: adamw\nloraplus_lr_ratio: null\nrank_pattern: {}\n")));
}

TEST(Validation, ChecksFieldsSetInCodeToo) {
  RunConfig c;
  c.lora_r = 0;
  EXPECT_EQ(error_of([&] { validate(c); }).where(), "lora_r");
}

TEST(Validation, RefusesKeysThatContradictEachOther) {
  for (const char* text : {"method: qlora\nbase_format: dense\n", "method: full\nbase_format: bnb_4bit\n",
                           "eval_data: a\neval_split: 0.1\n", "load_best_model_at_end: true\n",
                           "early_stopping_patience: 2\neval_data: a\n", "method: full\nadapter: a\n"})
    EXPECT_EQ(refused_yaml(text).kind(), ErrorKind::usage) << text;
}

TEST(YamlWriter, WritesEveryKey) {
  const std::string text = to_yaml(RunConfig{});
  for (const Key<RunConfig>& row : run_keys())
    EXPECT_THAT(text, HasSubstr("\n" + std::string(row.info.name) + ": "));
}

TEST(YamlWriter, WritesWhatReadsBackAsTheSameConfiguration) {
  RunConfig c;
  c.model = "/models/a b: \"c\"";
  c.data = {"/x/a.jsonl", "/x/\xC3\xA9 #1.jsonl"};
  c.output = "/out";
  c.method = Method::qlora;
  c.learning_rate = 1.0 / 3;
  c.lora_alpha = 16;
  c.lora_target_modules = std::string(R"(.*\.(q|v)_proj)");
  c.lora_exclude_modules = std::vector<std::string>{"yes", "1"};
  c.rank_pattern = {{"layers.0", 4}};
  c.alpha_pattern = {{"layers.0", 0.1}};
  c.layers_to_transform = {0, 1};
  c.gradient_checkpointing = GradientCheckpointing::on;
  c.memory_limit = 123456789;
  c.system_prompt = "null";
  c.completion_separator = "\nA: ";
  c.report_to = ReportTo::none;
  c.threads = 2;
  c.recorded = {{"kept_blocks", "30"}, {"base_fingerprint", "sha256:00ff"}};
  const std::string text = to_yaml(c);
  const RunConfig back = from_yaml(text);
  EXPECT_EQ(to_yaml(back), text);
  EXPECT_EQ(back.model, c.model);
  EXPECT_EQ(back.data, c.data);
  EXPECT_EQ(back.learning_rate, c.learning_rate);
  EXPECT_EQ(back.lora_target_modules, c.lora_target_modules);
  EXPECT_EQ(back.lora_exclude_modules, c.lora_exclude_modules);
  EXPECT_EQ(back.rank_pattern, c.rank_pattern);
  EXPECT_EQ(back.system_prompt, c.system_prompt);
  EXPECT_EQ(back.completion_separator, c.completion_separator);
  EXPECT_EQ(back.recorded, c.recorded);
}

TEST(YamlWriter, MakesPathsAbsolute) {
  RunConfig c;
  c.model = "models/m";
  EXPECT_EQ(from_yaml(to_yaml(c)).model.front(), '/');
}

TEST(YamlWriter, LeavesOutWhatBelongsToOneInvocation) {
  RunConfig c;
  c.overwrite = true;
  c.resume_from_checkpoint = "auto";
  const RunConfig back = from_yaml(to_yaml(c));
  EXPECT_FALSE(back.overwrite);
  EXPECT_FALSE(back.resume_from_checkpoint.has_value());
}

TEST(Sizes, KnowBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_size("6GiB", ""), uint64_t{6} << 30);
  EXPECT_EQ(parse_size("1.5 GB", ""), 1500000000u);
  EXPECT_EQ(parse_size("512mib", ""), uint64_t{512} << 20);
  EXPECT_EQ(parse_size("4096", ""), 4096u);
  for (const char* text : {"", "six", "6Gib/s", "-1", "1e300GiB", "nan", "6 G"})
    EXPECT_THROW(parse_size(text, "--memory-limit"), Error) << text;
}

}  // namespace
}  // namespace lorikeet
