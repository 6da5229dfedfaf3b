// lorikeet merge: folds adapters into the weights, or converts a model, to a Hugging Face folder or GGUF.
#include "export/merge.h"

#include <array>
#include <charconv>
#include <filesystem>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "train/loaded_model.h"
#include "train/use.h"

namespace lorikeet::cli {

enum class MergeBase { trained, original };
enum class WriteDtype { automatic, float32, bfloat16, float16, q8_0, q4_0 };

}  // namespace lorikeet::cli

namespace lorikeet {

template <>
std::span<const Choice> choices_of<cli::MergeBase>() {
  static constexpr Choice words[] = {{"trained", 0}, {"original", 1}};
  return words;
}
template <>
std::span<const Choice> choices_of<Combination>() {
  static constexpr Choice words[] = {{"cat", static_cast<int>(Combination::cat)},
                                     {"linear", static_cast<int>(Combination::linear)}};
  return words;
}
template <>
std::span<const Choice> choices_of<cli::WriteDtype>() {
  static constexpr Choice words[] = {{"auto", 0},    {"float32", 1}, {"bfloat16", 2},
                                     {"float16", 3}, {"q8_0", 4},    {"q4_0", 5}};
  return words;
}
template <>
std::span<const Choice> choices_of<MergeFormat>() {
  static constexpr Choice words[] = {{"safetensors", static_cast<int>(MergeFormat::safetensors)},
                                     {"gguf", static_cast<int>(MergeFormat::gguf)},
                                     {"gguf_adapter", static_cast<int>(MergeFormat::gguf_adapter)}};
  return words;
}

}  // namespace lorikeet

namespace lorikeet::cli {
namespace {

struct MergeOptions {
  std::vector<std::string> adapter;
  Combination combination_type = Combination::cat;
  std::string output;
  WriteDtype dtype = WriteDtype::automatic;
  MergeFormat format = MergeFormat::safetensors;
  MergeBase merge_base = MergeBase::trained;
};

std::span<const Key<MergeOptions>> table() {
  using O = MergeOptions;
  static const std::array rows{
      key<&O::adapter>("adapter", "merge",
                       "PEFT folder, with :weight after it to scale it; may be given several times. None: "
                       "the model is converted")
          .path(),
      key<&O::combination_type>("combination_type", "merge",
                                "how several adapters become one, as in PEFT: cat adds up what each does to "
                                "the weights, linear adds "
                                "up their A and B matrices, which only approximates that"),
      key<&O::output>("output", "merge",
                      "folder to write; of the GGUF formats also a file that ends in .gguf")
          .required()
          .path(),
      key<&O::dtype>("dtype", "merge",
                     "type of the written weights; auto: the file's own, bfloat16 for quantized files, "
                     "float32 for gguf_adapter. q8_0 and q4_0 are types of gguf"),
      key<&O::format>("format", "merge",
                      "what is written: a Hugging Face folder, a GGUF model, or the adapters alone as "
                      "llama.cpp's LoRA file"),
      key<&O::merge_base>(
          "merge_base", "merge",
          "trained adds to the base as the training run held it, original to the file's weights"),
  };
  return rows;
}

/// "out:0.5" is the folder out with weight 0.5.
AdapterWeight parse_adapter(const std::string& text) {
  AdapterWeight adapter;
  adapter.folder = text;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return adapter;
  double weight = 0;
  const auto [rest, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), weight);
  if (error != std::errc() || rest != text.data() + text.size()) return adapter;
  adapter.folder = text.substr(0, colon);
  adapter.weight = weight;
  return adapter;
}

LoadOptions base_options(const RunConfig& config, const ModelFiles& files, MergeBase base,
                         ThreadPool& threads) {
  LoadOptions options = original_base(files);
  if (base == MergeBase::trained) {
    const LoadRequest request = load_request(config);
    options.base_format = resolve_base_format(request.method, request.base_format, files.quantized());
    options.bnb = request.bnb;
    options.compute = resolve_compute_dtype(request.compute_dtype);
  }
  options.threads = &threads;
  return options;
}

std::optional<WeightType> dtype_of(WriteDtype dtype) {
  switch (dtype) {
    case WriteDtype::float32:
      return DType::f32;
    case WriteDtype::bfloat16:
      return DType::bf16;
    case WriteDtype::float16:
      return DType::f16;
    case WriteDtype::q8_0:
      return WeightFormat::q8_0;
    case WriteDtype::q4_0:
      return WeightFormat::q4_0;
    case WriteDtype::automatic:
      break;
  }
  return std::nullopt;
}

void print(const MergeReport& r, const std::string& output, bool json) {
  const LogitDifference& d = r.difference;
  if (json) {
    Json line{{"output", output},
              {"dtype", name_of(r.dtype)},
              {"bytes", r.bytes},
              {"merged_modules", r.merged_modules}};
    if (d.tokens > 0)
      line.update(Json{{"max_difference", d.largest},
                       {"mean_difference", d.mean},
                       {"kl_divergence", d.kl},
                       {"relative_difference", d.relative},
                       {"relative_bound", r.bound},
                       {"tokens", d.tokens}});
    out().json(line);
    return;
  }
  out().line(fmt::format("written   {}{}  ({} in {}, {} modules {})", output,
                         std::filesystem::is_directory(output) ? "/" : "", in_bytes(r.bytes),
                         name_of(r.dtype), with_commas(static_cast<int64_t>(r.merged_modules)),
                         d.tokens > 0 ? "merged" : "adapted"));
  if (d.tokens == 0) return;
  out().line(
      fmt::format("checked   logits of {} tokens against base + adapter: largest difference {:.3g}, mean "
                  "{:.3g}, KL {:.3g}",
                  with_commas(d.tokens), d.largest, d.mean, d.kl));
  out().line(fmt::format("          relative {:.3g}, rounding explains up to {:.3g}", d.relative, r.bound));
}

}  // namespace

int run_merge(const std::vector<std::string>& arguments) {
  CommandLine line(
      "merge", "merge --model M [--adapter A[:weight] ...] --output DIR [--dtype bfloat16] [--format gguf]",
      "Writes base + adapters as a Hugging Face folder or a GGUF file and checks its logits before "
      "calling it done. Without --adapter it converts from one to the other.");
  RunConfig config;
  MergeOptions own;
  line.options.add(own, table());
  line.options.add_run_keys(
      config, {"model", "method", "base_format", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
               "bnb_4bit_blocksize", "compute_dtype", "overwrite", "allow_other_base", "threads"});
  line.options.show_default("model", "from the adapter's run.yaml");
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(own.output, "--output", "merge");

  MergeRequest request;
  for (const std::string& adapter : own.adapter) request.adapters.push_back(parse_adapter(adapter));
  if (!request.adapters.empty()) config.adapter = request.adapters[0].folder;
  check_use(config, "merge");
  const RunConfig used = config_for_use(config);
  const ModelFiles files = ModelFiles::open(used.model);
  for (const AdapterWeight& adapter : request.adapters) {
    RunConfig one = config;
    one.adapter = adapter.folder;
    one.model = used.model;
    check_fingerprint(config_for_use(one), files);
  }
  ThreadPool threads(static_cast<int>(used.threads.value_or(ThreadPool::available_cpus())));
  request.base =
      request.adapters.empty() ? original_base(files) : base_options(used, files, own.merge_base, threads);
  request.base.threads = &threads;
  request.combination = own.combination_type;
  request.dtype = dtype_of(own.dtype);
  request.format = own.format;
  request.output = own.output;
  request.if_exists = config.overwrite ? AtomicFolder::IfExists::replace : AtomicFolder::IfExists::refuse;
  print(merge(files, request, threads), own.output, line.common.json);
  return 0;
}

}  // namespace lorikeet::cli
