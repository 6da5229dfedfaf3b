// What every family must be able to do beside training: merge, and continue a text with a cache as a whole
// pass would.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "export/merge.h"
#include "generate/generator.h"
#include "model/arch/registry.h"
#include "parity/recordings.h"
#include "train/loaded_model.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class Family : public TempFolder, public ::testing::WithParamInterface<Recording> {
 protected:
  /// Base + adapter, in f32: merge compares weights and logits itself.
  MergeReport write_merged(const ModelFiles& files, MergeFormat format) {
    ThreadPool threads(2);
    MergeRequest request;
    request.adapters = {{*GetParam().adapter(), 1}};
    request.base = original_base(files);
    request.output = path("merged");
    request.dtype = DType::f32;
    request.format = format;
    return merge(files, request, threads);
  }
};

TEST_P(Family, MergesItsAdapterAndKeepsTheLogits) {
  const ModelFiles files = ModelFiles::open(GetParam().model());
  EXPECT_GT(write_merged(files, MergeFormat::safetensors).merged_modules, 0u);
  EXPECT_TRUE(ModelFiles::open(path("merged")).unexpected().empty());
}

/// What llama.cpp's architecture of the same name has no key for.
bool beyond_gguf(const ModelFiles& files) {
  const ModelSpec& s = files.spec();
  const std::set<std::string> partly = {"phi", "phi3", "stablelm", "gpt_neox"};
  const bool scaled = s.rope.scaling == RopeScaling::dynamic ||
                      (s.rope.scaling == RopeScaling::longrope && s.model_type != "phi3");
  // Of Llama 3's scaling only Llama 3.1's numbers are read; Gemma's scale follows from head_dim there.
  const bool other_llama3 =
      s.rope.scaling == RopeScaling::llama3 && s.rope.original_max_position_embeddings != 8192;
  const bool other_scale =
      s.model_type.starts_with("gemma") &&
      std::abs(s.attention_scale * std::sqrt(static_cast<double>(s.head_dim)) - 1) > 1e-6;
  const bool dense_among_experts =
      s.num_local_experts > 0 && std::count(s.without_experts.begin(), s.without_experts.end(), true) > 0;
  const bool window = std::any_of(s.window.begin(), s.window.end(), [](int64_t w) { return w > 0; });
  const bool partial =
      s.rope.rotary_dim > 0 && s.rope.rotary_dim < s.head_dim && !partly.contains(s.model_type);
  // Every fourth layer does not turn.
  const bool other_interval = !s.without_rope.empty() && s.without_rope[1];
  return gguf_architecture(s.architecture).empty() || scaled || partial || other_llama3 || other_scale ||
         (window && (s.model_type == "mistral" || s.model_type == "qwen2" || s.model_type == "mixtral")) ||
         dense_among_experts || (s.num_local_experts > 0 && !s.norm_topk_prob) || other_interval ||
         (s.model_type == "gpt_neox" && !s.qkv_bias) ||
         (s.o_bias && (s.model_type == "falcon" || s.model_type == "qwen3"));
}

TEST_P(Family, IsWrittenAsGgufAndReadBackOrRefused) {
  const ModelFiles files = ModelFiles::open(GetParam().model());
  if (beyond_gguf(files)) {
    expect_error([&] { write_merged(files, MergeFormat::gguf); }, ErrorKind::unsupported, {"GGUF"});
    EXPECT_EQ(entries(), 0u);
    return;
  }
  EXPECT_GT(write_merged(files, MergeFormat::gguf).merged_modules, 0u);
  EXPECT_TRUE(ModelFiles::open(path("merged")).unexpected().empty());
}

TEST_P(Family, ContinuesWithACacheAsAWholePassWould) {
  const ModelFiles files = ModelFiles::open(GetParam().model());
  LoadRequest request;
  request.adapter = GetParam().adapter();
  request.compute_dtype = ComputeDtype::float32;
  request.threads = 2;
  request.positions = 32;
  request.train = false;
  LoadedModel loaded(files, request);
  const int64_t vocab = files.spec().vocab_size, fresh = 4;
  // One row below and one above the fixtures' windows and rope lengths, where the model has the positions.
  std::vector<std::vector<int32_t>> prompts = {{3, 1}, {7, 2, 9, 4, 4, 1, 8, 5, 3, 6}};
  if (files.spec().max_position_embeddings < 14) prompts.pop_back();
  GenerateOptions options;
  options.max_new_tokens = fresh;
  options.sampling.temperature = 0;
  Generator generator(loaded.model(), loaded.threads(), size_t{1} << 30);
  const std::vector<Completion> done = generator.run(prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int32_t> ids = prompts[i];
    ids.insert(ids.end(), done[i].ids.begin(), done[i].ids.end());
    std::vector<int32_t> every(ids.size());
    std::iota(every.begin(), every.end(), 0);
    const RowSpan span{0, static_cast<int32_t>(ids.size()), 0, static_cast<int32_t>(ids.size())};
    MicroBatch batch;
    batch.tokens = ids;
    batch.positions = every;
    batch.rows = {&span, 1};
    Arena arena(size_t{64} << 20);
    std::vector<float> logits(ids.size() * static_cast<size_t>(vocab));
    Decoder(loaded.model(), loaded.stream(&arena))
        .logits(batch, {}, {}, every, TensorView(logits.data(), {span.q_count, vocab}, DType::f32));
    for (size_t t = prompts[i].size(); t < ids.size(); ++t) {
      const float* row = logits.data() + (t - 1) * static_cast<size_t>(vocab);
      EXPECT_EQ(std::max_element(row, row + vocab) - row, ids[t]) << "prompt " << i << ", token " << t;
    }
  }
}

std::vector<Recording> one_adapter_each() {
  std::vector<Recording> all = recordings("training");
  std::erase_if(all, [](const Recording& r) { return r.name() != "lora"; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Recorded, Family, ::testing::ValuesIn(one_adapter_each()), test_name);

TEST(Registry, NamesNoFamilyWithoutRecordedLogitsGradientsAndLosses) {
  std::set<std::string> dumped, trained;
  const auto architecture_of = [](const Recording& r) {
    return r.model().ends_with(".gguf")
               ? std::string()
               : HfConfig(read_json_file(r.model() + "/config.json"), r.model()).architecture();
  };
  for (const Recording& r : recordings("dumps"))
    if (r.entry["gradients"].get<bool>()) dumped.insert(architecture_of(r));
  for (const Recording& r : recordings("training")) trained.insert(architecture_of(r));
  for (const Architecture& a : architectures()) {
    EXPECT_TRUE(dumped.contains(a.name)) << a.name;
    EXPECT_TRUE(trained.contains(a.name)) << a.name;
  }
}

}  // namespace
}  // namespace lorikeet::testing
