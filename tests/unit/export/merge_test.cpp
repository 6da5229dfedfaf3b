#include "export/merge.h"

#include <gmock/gmock.h>

#include <cmath>

#include "export/hf_folder.h"
#include "unit/io/temp_folder.h"
#include "unit/model/model_on_disk.h"

namespace lorikeet::testing {
namespace {

class MergeTest : public TempFolder {
 protected:
  MergeTest() : threads_(2) {}

  /// An adapter folder with random factors on the q, v and down projections.
  std::string write_random_adapter(const std::string& name, const ModelFiles& files, int64_t r = 3,
                                   double alpha = 6) {
    AdapterConfig config;
    config.targets.targets = std::vector<std::string>{"q_proj", "v_proj", "down_proj"};
    config.targets.r = r;
    config.targets.alpha = alpha;
    ModelOptions options;
    options.positions = 1;
    for (const Target& t : select_targets(linear_module_paths(files.spec()), config.targets))
      options.adapters[t.path] = {t.r, t.scale};
    RandomSource source(DType::f32, false);
    TrainableStore store(DType::f32);
    build_model(files.spec(), source, options, store, false, false);
    for (const NamedTensor& t : store.tensors()) {
      const Philox random(5, stable_hash(name + t.name));
      const TensorView v = store.value_of(t);
      for (int64_t i = 0; i < v.rows; ++i)
        for (int64_t k = 0; k < v.cols; ++k)
          v.row<float>(i)[k] = 0.2f * (2 * random.uniform(static_cast<uint64_t>(i * v.cols + k)) - 1);
    }
    std::filesystem::create_directories(path(name));
    write_adapter(path(name), store, config);
    return path(name);
  }

  MergeRequest request(const ModelFiles& files, std::vector<AdapterWeight> adapters = {}) {
    MergeRequest r;
    r.adapters = std::move(adapters);
    r.base = original_base(files);
    r.output = path("merged");
    return r;
  }
  /// A model of the fixtures with one of its adapters merged, in f32.
  ModelFiles merged_fixture(const std::string& model, const std::string& adapter) {
    const std::string folder = std::string(LORIKEET_FIXTURES) + "/models/" + model;
    const ModelFiles files = ModelFiles::open(folder);
    MergeRequest r = request(files, {{folder + "/adapter_" + adapter, 1}});
    r.dtype = DType::f32;
    r.if_exists = AtomicFolder::IfExists::replace;
    merge(files, r, threads_);
    return ModelFiles::open(path("merged"));
  }
  ThreadPool threads_;
};

const char* const kDown = "model.layers.0.mlp.down_proj.weight";

std::vector<float> file_values(const ModelFiles& files, const std::string& name) {
  std::vector<int32_t> map;
  return elements(stored_weight(files.at(name), files.spec(), map));
}

TEST_F(MergeTest, TheFolderHoldsTheRoundedSumAndItsLogitsAgree) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  const std::string adapter = write_random_adapter("a", files);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    MergeRequest r = request(files, {{adapter, 1}});
    r.dtype = dtype;
    r.if_exists = AtomicFolder::IfExists::replace;
    const MergeReport report = merge(files, r, threads_);
    EXPECT_EQ(report.merged_modules, 6u);
    EXPECT_LE(report.difference.relative, report.bound);
    EXPECT_GT(report.difference.tokens, 0);
    const ModelFiles merged = ModelFiles::open(path("merged"));
    EXPECT_EQ(merged.stored_dtype(), dtype);
    EXPECT_EQ(merged.config().json().at("torch_dtype"), name_of(dtype));
    EXPECT_EQ(merged.at(kDown).bytes(), 36u * 52 * size_of(dtype));
  }
  // One element by hand, in double: W + alpha / r * sum B A.
  MergeRequest r = request(files, {{adapter, 1}});
  r.if_exists = AtomicFolder::IfExists::replace;
  merge(files, r, threads_);
  const std::vector<AdapterTensor> tensors = read_adapter_tensors(adapter);
  const auto find = [&](const std::string& name) {
    return std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; })
        ->values;
  };
  const std::vector<float> a = find("model.layers.0.mlp.down_proj.lora_A.weight"),
                           b = find("model.layers.0.mlp.down_proj.lora_B.weight");
  double sum = file_values(files, kDown)[2 * 52 + 7];
  for (size_t i = 0; i < 3; ++i)
    sum += 2.0 * static_cast<double>(b[2 * 3 + i]) * static_cast<double>(a[i * 52 + 7]);
  EXPECT_NEAR(file_values(ModelFiles::open(path("merged")), kDown)[2 * 52 + 7], sum, 1e-6);
}

TEST_F(MergeTest, TwoAdaptersAddWithTheirWeights) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  const std::string a = write_random_adapter("a", files), b = write_random_adapter("b", files, 4);
  const AdapterSum both(files, {{a, 0.5}, {b, -2}}, Combination::cat),
      only_a(files, {{a, 1}}, Combination::cat), only_b(files, {{b, 1}}, Combination::cat);
  std::vector<float> sum(52), x(52), y(52);
  both.apply(kDown, 3, 4, 52, sum.data());
  only_a.apply(kDown, 3, 4, 52, x.data());
  only_b.apply(kDown, 3, 4, 52, y.data());
  for (size_t i = 0; i < 52; ++i) EXPECT_NEAR(sum[i], 0.5f * x[i] - 2 * y[i], 1e-6);
  const MergeReport report = merge(files, request(files, {{a, 0.5}, {b, -2}}), threads_);
  EXPECT_LE(report.difference.relative, report.bound);
}

TEST_F(MergeTest, LinearCombinationRefusesUnequalRanks) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  const std::string a = write_random_adapter("a", files), b = write_random_adapter("b", files, 4);
  expect_error(
      [&] {
        AdapterSum(files, {{a, 1}, {b, 1}}, Combination::linear);
      },
      ErrorKind::usage, {"this adapter has rank 4, another one 3", "--combination-type cat"});
}

TEST_F(MergeTest, ADoraAdapterScalesRowsAndCannotBeWeighted) {
  const std::string llama = std::string(LORIKEET_FIXTURES) + "/models/llama_tied";
  const ModelFiles files = ModelFiles::open(llama);
  MergeRequest r = request(files, {{llama + "/adapter_dora", 1}});
  r.dtype = DType::f32;
  const MergeReport report = merge(files, r, threads_);
  EXPECT_LE(report.difference.relative, report.bound);
  // Each row of a merged matrix is as long as its magnitude says.
  const char* module = "model.layers.1.mlp.down_proj";
  const std::vector<AdapterTensor> tensors = read_adapter_tensors(llama + "/adapter_dora");
  const std::vector<float> merged =
      file_values(ModelFiles::open(path("merged")), std::string(module) + ".weight");
  for (const AdapterTensor& t : tensors) {
    if (t.name != std::string(module) + ".lora_magnitude_vector") continue;
    const size_t cols = merged.size() / t.values.size();
    for (size_t i = 0; i < t.values.size(); ++i) {
      double squares = 0;
      for (size_t k = 0; k < cols; ++k) squares += std::pow(merged[i * cols + k], 2);
      EXPECT_NEAR(std::sqrt(squares), t.values[i], 1e-5 * t.values[i]) << i;  // f32 rounding
    }
  }
  expect_error(
      [&] {
        AdapterSum(files, {{llama + "/adapter_dora", 0.5}}, Combination::cat);
      },
      ErrorKind::unsupported, {"use_dora cannot be weighted"});
  expect_error(
      [&] {
        AdapterSum(files, {{llama + "/adapter_dora", 1}, {llama + "/adapter_all", 1}}, Combination::cat);
      },
      ErrorKind::unsupported, {"use_dora cannot be added to others"});
}

/// Adapters that PEFT made, of more than the linear layers of blocks: merge() itself compares the logits of
/// the written model with those of base + adapter.
TEST_F(MergeTest, WholeModulesTokensAndBiasesBecomePartOfTheWeights) {
  for (const auto& [model, adapter] :
       std::vector<std::pair<std::string, std::string>>{{"llama_sharded", "saved"},
                                                        {"llama_sharded", "heads"},
                                                        {"llama_sharded", "tokens"},
                                                        {"llama_tied", "tokens"},
                                                        {"llama_tied", "bias"},
                                                        {"gemma", "tokens"}}) {
    SCOPED_TRACE(model + "/" + adapter);
    EXPECT_EQ(merged_fixture(model, adapter).spec().tie_word_embeddings, model != "llama_sharded");
  }
}

TEST_F(MergeTest, AdaptersOfATiedEmbeddingOrHeadUntieThem) {
  for (const auto& [model, adapter] :
       std::vector<std::pair<std::string, std::string>>{{"llama_tied", "heads"}, {"gemma", "embedding"}}) {
    SCOPED_TRACE(model);
    const ModelFiles merged = merged_fixture(model, adapter);
    EXPECT_FALSE(merged.spec().tie_word_embeddings);
    EXPECT_NE(file_values(merged, "lm_head.weight"), file_values(merged, "model.embed_tokens.weight"));
  }
}

TEST_F(MergeTest, ABiasHasToHaveOneToBeAddedTo) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  const std::string adapter = write_random_adapter("a", files);
  AdapterConfig config = AdapterConfig::read(adapter);
  config.lora_bias = true;
  ModelOptions options;
  options.positions = 1;
  apply_adapter(config, files.spec(), options);
  RandomSource source(DType::f32, false);
  TrainableStore store(DType::f32);
  build_model(files.spec(), source, options, store, false, false);
  write_adapter(adapter, store, config);
  expect_error(
      [&] {
        merge(files, request(files, {{adapter, 1}}), threads_);
      },
      ErrorKind::unsupported, {"down_proj", "has no bias"});
}

TEST_F(MergeTest, ACopyOfAnotherEmbeddingIsRefused) {
  const std::string models = std::string(LORIKEET_FIXTURES) + "/models";
  const std::string from = models + "/llama_tied/adapter_heads";
  OnDisk m;
  m.config["vocab_size"] = 97;
  m.config["hidden_size"] = 20;
  m.config["tie_word_embeddings"] = true;
  write_hf_folder(path("m"), m);
  const ModelFiles files = ModelFiles::open(path("m"));
  expect_error([&] { read_adapter_for(files, from); }, ErrorKind::unsupported,
               {"embed_tokens", "differs from the model's"});
}

TEST_F(MergeTest, TheTrainedBaseIsTheQuantizedOne) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  MergeRequest r = request(files, {{write_random_adapter("a", files), 1}});
  r.base.base_format = BaseFormat::bnb_4bit;
  const MergeReport report = merge(files, r, threads_);
  EXPECT_LE(report.difference.relative, report.bound);
  const ModelFiles merged = ModelFiles::open(path("merged"));
  const char* untouched = "model.layers.0.mlp.up_proj.weight";
  WeightStore quantized(files, r.base);
  EXPECT_EQ(file_values(merged, untouched), elements(quantized.matrix(untouched, 52, 36)));
  EXPECT_NE(file_values(merged, untouched), file_values(files, untouched));
}

TEST_F(MergeTest, AFullModelIsWrittenFromItsRows) {
  write_hf_folder(path("m"));
  write("m/tokenizer_config.json", R"({"eos_token": "x"})");
  const ModelFiles files = ModelFiles::open(path("m"));
  std::filesystem::create_directory(path("out"));
  write_hf_model(
      path("out"), files, DType::f32,
      [](const ExpectedTensor& t, int64_t first, int64_t last, float* out) {
        for (int64_t i = first; i < last; ++i)
          for (int64_t k = 0; k < t.cols; ++k) *out++ = static_cast<float>(i + k);
      },
      threads_);
  const ModelFiles written = ModelFiles::open(path("out"));
  EXPECT_EQ(file_values(written, kDown)[5 * 52 + 9], 14);
  EXPECT_EQ(read(path("out/tokenizer_config.json")), R"({"eos_token": "x"})");
}

TEST_F(MergeTest, ValuesThatTheTypeCannotHoldLeaveNoFolder) {
  OnDisk m;
  m.change_values = [](const std::string& name, std::vector<float>& v) {
    if (name == kDown) v[3] = 1e5f;
  };
  write_hf_folder(path("m"), m);
  const ModelFiles files = ModelFiles::open(path("m"));
  MergeRequest r = request(files);
  r.dtype = DType::f16;
  expect_error([&] { merge(files, r, threads_); }, ErrorKind::unsupported, {kDown, "column 3", "float16"});
  EXPECT_EQ(entries(), 1u);
}

TEST_F(MergeTest, AnExistingOutputIsRefused) {
  write_hf_folder(path("m"));
  const ModelFiles files = ModelFiles::open(path("m"));
  std::filesystem::create_directory(path("merged"));
  write("merged/file", "x");
  expect_error([&] { merge(files, request(files), threads_); }, ErrorKind::usage, {path("merged")});
}

TEST(DenseConfig, LosesTheQuantizationAndNamesTheTypeInBothSpellings) {
  const Json v5 = dense_config({{"dtype", "float32"}, {"quantization_config", {{"bits", 4}}}}, DType::bf16);
  EXPECT_EQ(v5, (Json{{"dtype", "bfloat16"}}));
  EXPECT_EQ(dense_config({{"torch_dtype", "float32"}}, DType::f16), (Json{{"torch_dtype", "float16"}}));
}

TEST_F(MergeTest, ASharpModelMayMoveAsFarAsItsOwnRoundingMovesIt) {
  // Random adapters of rank 2 that make attention nearly certain: rounding the sum to bfloat16 moves the
  // logits by 0.04 of their size, four times as far as in the same model without them.
  const std::string llama = std::string(LORIKEET_FIXTURES) + "/models/llama";
  const ModelFiles files = ModelFiles::open(llama);
  MergeRequest r = request(files, {{llama + "/adapter_all", 1}});
  r.base.base_format = BaseFormat::bnb_4bit;
  r.dtype = DType::bf16;
  const MergeReport sharp = merge(files, r, threads_);
  EXPECT_LE(sharp.difference.relative, sharp.bound);
  r.adapters.clear();
  r.if_exists = AtomicFolder::IfExists::replace;
  const MergeReport plain = merge(files, r, threads_);
  EXPECT_GT(sharp.difference.relative, 2 * plain.difference.relative);
  EXPECT_GT(sharp.bound, 2 * plain.bound);
}

/// A dense model that computes in f32.
struct Built {
  WeightStore weights;
  TrainableStore store{DType::f32};
  Model model;
  explicit Built(const ModelFiles& files) : weights(files, LoadOptions{}) {
    ModelOptions options;
    options.positions = 64;
    model = build_model(files.spec(), weights, options, store, false, false);
  }
};

TEST_F(MergeTest, AForgottenAdapterIsFartherThanTheBound) {
  const std::string llama = std::string(LORIKEET_FIXTURES) + "/models/llama";
  const ModelFiles files = ModelFiles::open(llama);
  MergeRequest r = request(files, {{llama + "/adapter_all", 1}});
  r.dtype = DType::bf16;
  const double bound = merge(files, r, threads_).bound;
  const ModelFiles merged = ModelFiles::open(path("merged"));
  const Built with(merged), without(files);
  EXPECT_GT(compare_logits(with.model, without.model, sample_rows(files), threads_).relative, 2 * bound);
}

TEST(MergeBound, IsFinerForFinerTypes) {
  EXPECT_EQ(merge_bound(DType::bf16, 0.25), 1);
  EXPECT_LT(merge_bound(DType::f16, 0.25), merge_bound(DType::bf16, 0.25));
  EXPECT_LT(merge_bound(DType::f32, 0.25), merge_bound(DType::f16, 0.25));
}

}  // namespace
}  // namespace lorikeet::testing
