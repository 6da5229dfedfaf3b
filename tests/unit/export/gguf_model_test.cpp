#include "export/gguf_model.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "export/gguf_tokenizer.h"
#include "export/hf_tokenizer.h"
#include "export/merge.h"
#include "model/gguf_family.h"
#include "model/spec_difference.h"
#include "text/sentencepiece.h"
#include "unit/io/temp_folder.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

const std::string kModels = std::string(LORIKEET_FIXTURES) + "/models/";
const char *const kQ = "model.layers.1.self_attn.q_proj.weight", *const kStoredQ = "blk.1.attn_q.weight";

class GgufModel : public TempFolder {
 protected:
  ModelFiles folder(const Json& config = blocked_config()) {
    OnDisk m;
    m.config = config;
    write_hf_folder(path("m"), m);
    return ModelFiles::open(path("m"));
  }
  MergeRequest request(const ModelFiles& files, MergeFormat format, const std::string& output) {
    MergeRequest r;
    r.base = original_base(files);
    r.format = format;
    r.output = path(output);
    return r;
  }
  MergeReport convert(const ModelFiles& files, WeightType type, const std::string& output = "out.gguf") {
    MergeRequest r = request(files, MergeFormat::gguf, output);
    r.dtype = type;
    r.if_exists = AtomicFolder::IfExists::replace;
    return merge(files, r, threads_);
  }
  static std::vector<float> values(const ModelFiles& files, const std::string& name) {
    WeightStore store(files, original_base(files));
    const ExpectedTensor& t = files.at(name).expected;
    return t.role == TensorRole::vector ? elements(Weight::dense(store.vector(name, t.cols)))
                                        : elements(store.matrix(name, t.rows, t.cols));
  }
  void copy_fixture(const std::string& from, const std::string& to) {
    write(to, read(std::string(LORIKEET_FIXTURES) + "/" + from));
  }
  ThreadPool threads_{2};
};

TEST_F(GgufModel, DenseTypesKeepEveryWeightRoundedOnce) {
  const ModelFiles files = folder();
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    SCOPED_TRACE(name_of(dtype));
    const MergeReport report = convert(files, dtype);
    EXPECT_LE(report.difference.relative, report.bound);
    const ModelFiles written = ModelFiles::open(path("out.gguf"));
    EXPECT_EQ(written.stored_dtype(), dtype);
    for (const SourceTensor& t : files.tensors()) {
      std::vector<float> wanted = values(files, t.expected.name);
      if (t.expected.role != TensorRole::vector)
        round_row(t.expected, 0, wanted.data(), static_cast<int64_t>(wanted.size()), dtype);
      EXPECT_EQ(values(written, t.expected.name), wanted) << t.expected.name;
    }
  }
}

TEST_F(GgufModel, RowsOfQueryAndKeyLieInLlamaCppsOrder) {
  const ModelFiles files = folder();
  convert(files, DType::f32);
  const GgufFile file = GgufFile::open(path("out.gguf"));
  const auto* stored = reinterpret_cast<const float*>(file.at(kStoredQ).data);
  const std::vector<float> q = values(files, kQ);
  // Heads of 16: stored row 1 is the partner of row 0, half a head further on.
  EXPECT_EQ(std::vector<float>(stored + 64, stored + 128),
            std::vector<float>(q.begin() + 8 * 64, q.begin() + 9 * 64));
}

TEST_F(GgufModel, BlocksAreForMatricesOfWholeBlocksAndHeadsAreNoSmallerThanQ8) {
  const ModelFiles files = folder();
  const auto type = [&](const char* name) { return name_of(GgufFile::open(path("out.gguf")).at(name).type); };
  EXPECT_GT(convert(files, WeightFormat::q8_0).difference.relative, 0);
  EXPECT_EQ(type(kStoredQ), "Q8_0");
  EXPECT_EQ(type("blk.0.attn_norm.weight"), "F32");
  convert(files, WeightFormat::q4_0);
  EXPECT_EQ(type(kStoredQ), "Q4_0");
  EXPECT_EQ(type("token_embd.weight"), "Q8_0");
  EXPECT_EQ(type("output.weight"), "Q8_0");
  convert(folder(tiny_config()), WeightFormat::q4_0);  // 36 columns
  EXPECT_EQ(type(kStoredQ), "F16");
}

TEST_F(GgufModel, AFileOrAFolderAppearsAndNothingIsReplacedUnasked) {
  const ModelFiles files = folder();
  convert(files, DType::f32, "out");
  EXPECT_TRUE(ModelFiles::open(path("out")).is_gguf());
  convert(files, DType::f32);
  expect_error([&] { merge(files, request(files, MergeFormat::gguf, "out.gguf"), threads_); },
               ErrorKind::usage, {"out.gguf", "exists"});
  EXPECT_EQ(entries(), 3u);
}

TEST_F(GgufModel, MetadataOfAGgufFileAreTakenOver) {
  OnDisk m;
  m.config = blocked_config();
  const std::vector<int32_t> numbers = {1, -2};
  write_gguf(path("in.gguf"), m, true, [&](GgufWriter& w) {
    w.add_string("general.license", "mine");
    w.add_int32s("some.numbers", numbers);
    w.add_bool("some.flag", true);
    w.add_strings("some.words", std::vector<std::string>{"a", "bc"});
    w.add_uint32("general.file_type", 7);
  });
  convert(ModelFiles::open(path("in.gguf")), DType::f16);
  const GgufFile out = GgufFile::open(path("out.gguf"));
  EXPECT_EQ(out.string("general.license"), "mine");
  EXPECT_EQ(out.integers("some.numbers"), (std::vector<int64_t>{1, -2}));
  EXPECT_TRUE(out.boolean("some.flag"));
  EXPECT_EQ(out.strings("some.words")[1], "bc");
  EXPECT_EQ(out.integer("general.file_type"), 1);
}

TEST_F(GgufModel, Llama3sRopeScalingIsWrittenAsDivisors) {
  Json config = blocked_config();
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const ModelFiles files = folder(config);
  convert(files, DType::f32);
  const ModelFiles written = ModelFiles::open(path("out.gguf"));
  EXPECT_EQ(difference(files.spec(), written.spec()).value_or(""), "");
  EXPECT_EQ(written.spec().rope.scaling, RopeScaling::llama3);
}

TEST_F(GgufModel, WhatGgufCannotSayIsRefusedBeforeAnythingAppears) {
  Json config = blocked_config();
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 4.0}};
  expect_error([&] { convert(folder(config), DType::f32); }, ErrorKind::unsupported,
               {"cannot say rope.scaling"});
  EXPECT_EQ(entries(), 1u);
  const auto refuse = [&](const char* fixture, const char* part) {
    SCOPED_TRACE(fixture);
    expect_error([&] { convert(ModelFiles::open(kModels + fixture), DType::f32); }, ErrorKind::unsupported,
                 {part});
  };
  refuse("opt", "OPTForCausalLM has no GGUF form");
  refuse("falcon_serial", "biases");
  refuse("gpt_neox_serial", "attention without biases");
  refuse("qwen3_bias", "biases outside of query, key and value");
  refuse("smollm3", "cannot say without_rope");
}

TEST_F(GgufModel, YarnIsWrittenWithTheFactorBesideTheImpliedOne) {
  Json config = blocked_config();
  config["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", 4.0},
                            {"original_max_position_embeddings", 16},
                            {"beta_fast", 3.0},
                            {"beta_slow", 0.7}};
  for (const double attention_factor : {0.0, 1.0, 1.1, 0.707}) {
    SCOPED_TRACE(attention_factor);
    if (attention_factor > 0) config["rope_scaling"]["attention_factor"] = attention_factor;
    const ModelFiles files = folder(config);
    convert(files, DType::f32);
    const ModelFiles written = ModelFiles::open(path("out.gguf"));
    EXPECT_EQ(difference(files.spec(), written.spec()).value_or(""), "");
    EXPECT_EQ(GgufFile::open(path("out.gguf")).has("llama.rope.scaling.attn_factor"), attention_factor > 0);
  }
}

/// A file of the gguf package, as a folder and back: every number and every tensor it was made of.
class GgufPackage : public GgufModel, public ::testing::WithParamInterface<const char*> {};

TEST_P(GgufPackage, FilesAreWrittenAsTheyWere) {
  const std::string original = kModels + GetParam() + "/model.gguf";
  MergeRequest r = request(ModelFiles::open(original), MergeFormat::safetensors, "hf");
  r.dtype = DType::bf16;
  merge(ModelFiles::open(original), r, threads_);
  convert(ModelFiles::open(path("hf")), DType::bf16);
  const GgufFile before = GgufFile::open(original), after = GgufFile::open(path("out.gguf"));
  for (const std::string_view key : before.keys()) {
    ASSERT_TRUE(after.has(key)) << key;
    EXPECT_EQ(after.type_of(key), before.type_of(key)) << key;
    if (before.type_of(key) == "boolean") {
      EXPECT_EQ(after.boolean(key), before.boolean(key)) << key;
    } else if (before.type_of(key) != "string") {
      EXPECT_EQ(after.number(key), before.number(key)) << key;
    }
  }
  EXPECT_EQ(after.tensors().size(), before.tensors().size());
  for (const GgufTensor& t : before.tensors()) {
    const GgufTensor& written = after.at(t.name);
    EXPECT_EQ(written.describe(), t.describe()) << t.name;
    ASSERT_EQ(written.bytes, t.bytes) << t.name;
    EXPECT_EQ(std::memcmp(written.data, t.data, t.bytes), 0) << t.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GgufPackage,
                         ::testing::Values("cohere_gguf", "falcon_gguf", "falcon_new_gguf", "gpt_neox_gguf",
                                           "granite_gguf", "phi_gguf", "phi3_longrope_gguf", "smollm3_gguf",
                                           "stablelm_gguf"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(GgufModel, BlockTypesNeedTheFormat) {
  const ModelFiles files = folder();
  MergeRequest r = request(files, MergeFormat::safetensors, "out");
  r.dtype = WeightFormat::q8_0;
  expect_error([&] { merge(files, r, threads_); }, ErrorKind::usage, {"Q8_0", "--format gguf"});
  EXPECT_EQ(entries(), 1u);
}

TEST_F(GgufModel, ATokenizerKeepsItsIds) {
  const std::string folder_path = std::string(LORIKEET_FIXTURES) + "/models/llama";
  const ModelFiles files = ModelFiles::open(folder_path);
  convert(files, DType::f32);
  const ModelFiles written = ModelFiles::open(path("out.gguf"));
  const Tokenizer a = files.tokenizer(), b = written.tokenizer();
  for (const char* text : {"ab the<|im_end|> x", "  1234 don't\n"})
    EXPECT_EQ(a.encode(text, true), b.encode(text, true));
  EXPECT_EQ(a.chat_template(), b.chat_template());
  EXPECT_EQ(files.eos_token_ids(), written.eos_token_ids());
}

class GgufVocabulary : public GgufModel {
 protected:
  /// A model of 1000 tokens with the Llama-like vocabulary of the fixtures.
  GgufVocabulary() {
    Json config = blocked_config();
    config["vocab_size"] = 1000;
    folder(config);
    copy_fixture("text/sentencepiece/llama.model", "m/tokenizer.model");
    model_ = ModelFiles::open(path("m"));
  }
  void expect_same_ids(const GgufTokenizerSource& s) {
    EXPECT_EQ(s.model, "llama");
    EXPECT_EQ(s.tokens.size(), 1000u);
    EXPECT_EQ(s.tokens.back(), "[PAD999]");
    const Tokenizer a = model_->tokenizer(), b = Tokenizer::from_gguf(s);
    for (const char* text : {"Hello  world 123\n\n", "na\u00efve \u4f60\u597d", "def add(first, second):"}) {
      EXPECT_EQ(a.encode(text, true), b.encode(text, true)) << text;
      EXPECT_EQ(a.decode(a.encode(text, false), false), b.decode(b.encode(text, false), false));
    }
  }
  std::optional<ModelFiles> model_;
};

TEST_F(GgufVocabulary, OfASentencePieceModelKeepsItsScores) {
  const GgufTokenizerSource s = gguf_tokenizer_of(*model_);
  EXPECT_EQ(s.scores.size(), 1000u);
  expect_same_ids(s);
}

TEST_F(GgufVocabulary, OfATokenizerJsonHasTheOrderOfItsMergesAsScores) {
  const SentencePieceModel m = read_sentencepiece_folder(path("m"));
  write("m/tokenizer.json", to_text(hf_tokenizer_json(m.vocabulary)));
  write("m/tokenizer_config.json", R"({"bos_token": "<s>", "add_bos_token": true})");
  const GgufTokenizerSource s = gguf_tokenizer_of(*model_);
  EXPECT_NE(s.scores, m.vocabulary.scores);
  expect_same_ids(s);
}

TEST_F(GgufVocabulary, WhoseMergesAreNoOrderOfTokensIsRefused) {
  copy_fixture("text/byte_fallback.json", "m/tokenizer.json");
  expect_error([&] { gguf_tokenizer_of(*model_); }, ErrorKind::unsupported,
               {"model.merges", "no order of tokens"});
}

TEST_F(GgufModel, AnAdapterAloneIsALoraFileOfLlamaCpp) {
  const std::string llama = std::string(LORIKEET_FIXTURES) + "/models/llama";
  const ModelFiles files = ModelFiles::open(llama);
  MergeRequest r = request(files, MergeFormat::gguf_adapter, "a.gguf");
  r.adapters = {{llama + "/adapter_all", 0.5}};
  const MergeReport report = merge(files, r, threads_);
  EXPECT_GT(report.merged_modules, 0u);
  const GgufFile file = GgufFile::open(path("a.gguf"));
  EXPECT_EQ(file.string("adapter.type"), "lora");
  EXPECT_EQ(file.number("adapter.lora.alpha"), 0);
  const AdapterSum sum(files, r.adapters, Combination::cat);
  const AdapterSum::Factors& q = sum.by_module().at("model.layers.1.self_attn.q_proj");
  const GgufTensor &a = file.at(std::string(kStoredQ) + ".lora_a"),
                   &b = file.at(std::string(kStoredQ) + ".lora_b");
  EXPECT_EQ(a.shape, (std::vector{q.r, q.in}));
  EXPECT_EQ(b.shape, (std::vector{q.out, q.r}));
  EXPECT_EQ(std::memcmp(a.data, q.a.data(), a.bytes), 0);
  // Row 1 of B is the partner of row 0.
  const auto half = static_cast<size_t>(files.spec().head_dim / 2);
  EXPECT_EQ(reinterpret_cast<const float*>(b.data)[q.r], q.b[half]);
  r.adapters.clear();
  expect_error([&] { merge(files, r, threads_); }, ErrorKind::usage, {"no adapter"});
  const std::string tied = std::string(LORIKEET_FIXTURES) + "/models/llama_tied";
  r.adapters = {{tied + "/adapter_dora", 1}};
  r.output = path("dora.gguf");
  expect_error([&] { merge(ModelFiles::open(tied), r, threads_); }, ErrorKind::unsupported, {"DoRA"});
}

TEST(GgufFamilies, NameEveryTensorOfTheirArchitecture) {
  for (const char* name :
       {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "olmo2", "granite", "phi3",
        "starcoder2", "gpt2", "cohere", "falcon", "falcon_new", "gpt_neox", "phi", "smollm3", "stablelm"}) {
    const ModelFiles files = ModelFiles::open(kModels + name);
    const GgufFamily* family = gguf_family_of(files.spec().architecture);
    ASSERT_NE(family, nullptr) << name;
    const auto places = gguf_places(files.spec(), *family);
    for (const SourceTensor& t : files.tensors())
      EXPECT_TRUE(places.contains(t.expected.name)) << t.expected.name;
  }
}

}  // namespace
}  // namespace lorikeet::testing
