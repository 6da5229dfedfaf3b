// lorikeet inspect model: what a model is and how its tensors are stored.
#include <array>
#include <map>

#include "cli/command.h"
#include "cli/inspect_commands.h"
#include "cli/layer_error_text.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/text_format.h"
#include "core/error.h"
#include "model/files.h"
#include "quant/format.h"
#include "train/loaded_model.h"

namespace lorikeet::cli {
namespace {

struct InspectModelOptions {
  bool error = false;
  std::optional<std::string> reference;
};

std::span<const Key<InspectModelOptions>> table() {
  static const std::array rows{key<&InspectModelOptions::error>(
                                   "error", "inspect",
                                   "error of each linear layer: of a dense model, what quantizing it by the "
                                   "bnb_4bit keys would cost; of a quantized one, against --reference"),
                               key<&InspectModelOptions::reference>(
                                   "reference", "inspect", "the model that was quantized, for --error")
                                   .path()};
  return rows;
}

std::string format_name(const SourceTensor& t) {
  return t.stored.format == WeightFormat::dense ? name_of(t.stored.dtype) : format_info(t.stored.format).name;
}

double bits_per_weight(int64_t bytes, int64_t elements) {
  return elements > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(elements) : 0;
}

/// Tensors of one kind, e.g. "self_attn.q_proj" of all blocks, and their formats.
struct Group {
  int64_t count = 0, rows = 0, cols = 0, bytes = 0, elements = 0;
  std::map<std::string, int64_t> formats;
};

/// The name without the numbers of layer and expert: "model.layers.3.mlp.up_proj.weight" ->
/// "model.layers.*.mlp.up_proj.weight".
std::string without_numbers(std::string name) {
  for (size_t at = name.find('.'); at != std::string::npos; at = name.find('.', at + 1)) {
    const size_t end = name.find_first_not_of("0123456789", at + 1);
    if (end != std::string::npos && end > at + 1 && name[end] == '.') name.replace(at + 1, end - at - 1, "*");
  }
  return name;
}

std::vector<std::pair<std::string, Group>> groups_of(const ModelFiles& files) {
  std::vector<std::pair<std::string, Group>> groups;
  std::map<std::string, size_t> index;
  for (const SourceTensor& t : files.tensors()) {
    const std::string name = without_numbers(t.expected.name);
    const auto [at, fresh] = index.emplace(name, groups.size());
    if (fresh) groups.emplace_back(name, Group{});
    Group& group = groups[at->second].second;
    group.count += 1;
    group.rows = t.expected.rows;
    group.cols = t.expected.cols;
    group.bytes += static_cast<int64_t>(t.bytes());
    group.elements += t.expected.rows * t.expected.cols;
    group.formats[format_name(t)] += 1;
  }
  return groups;
}

Json as_json(const Quantization& q) {
  if (q.method.empty()) return nullptr;
  return Json{{"method", q.method}, {"traits", q.traits}, {"notes", q.notes}};
}

Json as_json(const ModelFiles& files) {
  const ModelSpec& s = files.spec();
  Json tensors = Json::array();
  for (const SourceTensor& t : files.tensors())
    tensors.push_back(
        {{"name", t.expected.name},
         {"shape", t.expected.role == TensorRole::vector ? Json{t.expected.cols}
                                                         : Json{t.expected.rows, t.expected.cols}},
         {"format", format_name(t)},
         {"bytes", t.bytes()},
         {"bits_per_weight",
          bits_per_weight(static_cast<int64_t>(t.bytes()), t.expected.rows * t.expected.cols)}});
  Json j{{"path", files.path()},
         {"name", files.name()},
         {"architecture", s.architecture},
         {"model_type", s.model_type},
         {"parameters", files.parameter_count()},
         {"vocab_size", s.vocab_size},
         {"hidden_size", s.hidden_size},
         {"intermediate_size", s.intermediate_size},
         {"num_hidden_layers", s.num_hidden_layers},
         {"num_attention_heads", s.num_attention_heads},
         {"num_key_value_heads", s.num_key_value_heads},
         {"head_dim", s.head_dim},
         {"max_position_embeddings", s.max_position_embeddings},
         {"tie_word_embeddings", s.tie_word_embeddings},
         {"quantized", files.quantized()},
         {"quantization", as_json(files.quantization())},
         {"bytes", files.mapped_bytes()},
         {"eos_token_ids", files.eos_token_ids()},
         {"fingerprint", files.fingerprint()},
         {"unused_tensors", files.unexpected()},
         {"tensors", tensors}};
  if (s.num_local_experts > 0) {
    j["num_local_experts"] = s.num_local_experts;
    j["num_experts_per_tok"] = s.num_experts_per_tok;
    j["moe_intermediate_size"] = s.moe_intermediate_size;
  }
  return j;
}

void print(const ModelFiles& files) {
  const ModelSpec& s = files.spec();
  int64_t linear_bytes = 0, linear_elements = 0;
  for (const SourceTensor& t : files.tensors()) {
    if (t.expected.role != TensorRole::linear) continue;
    linear_bytes += static_cast<int64_t>(t.bytes());
    linear_elements += t.expected.rows * t.expected.cols;
  }
  out().line(fmt::format("model        {} · {} · {}", printable(files.name()), s.architecture,
                         in_bytes(files.mapped_bytes())));
  out().line(fmt::format("size         {} parameters · {} blocks · hidden {} · inner {} · vocabulary {}",
                         in_millions(files.parameter_count()), s.num_hidden_layers, s.hidden_size,
                         s.intermediate_size, with_commas(s.vocab_size)));
  if (s.num_local_experts > 0)
    out().line(fmt::format("experts      {} a block, {} of them for a token · inner {}", s.num_local_experts,
                           s.num_experts_per_tok, s.moe_intermediate_size));
  out().line(fmt::format("attention    {} heads on {} key/value heads of {} · {} positions",
                         s.num_attention_heads, s.num_key_value_heads, s.head_dim,
                         with_commas(s.max_position_embeddings)));
  out().line(fmt::format("embeddings   {}",
                         s.tie_word_embeddings ? "tied to the output head" : "apart from the output head"));
  out().line(fmt::format("linear       {:.2f} bits a weight in the file{}",
                         bits_per_weight(linear_bytes, linear_elements),
                         files.quantized() ? " (quantized)" : ""));
  if (const Quantization& q = files.quantization(); !q.method.empty()) {
    out().line(fmt::format("quantized    {} · {}", q.method, fmt::join(q.traits, " · ")));
    for (const std::string& text : q.notes) out().line("note         " + printable(text));
  }
  std::string eos;
  for (const int32_t id : files.eos_token_ids()) eos += fmt::format("{}{}", eos.empty() ? "" : ", ", id);
  out().line(fmt::format("ends with    {}", eos.empty() ? "no token" : "token " + eos));
  out().line(fmt::format("fingerprint  {}", files.fingerprint()));
  out().line("");
  std::vector<std::vector<std::string>> rows{{"tensor", "count", "shape", "format", "bits", "bytes"}};
  for (const auto& [name, g] : groups_of(files)) {
    std::string formats;
    for (const auto& [format, count] : g.formats)
      formats += fmt::format("{}{}{}", formats.empty() ? "" : ", ",
                             g.formats.size() > 1 ? fmt::format("{} ", count) : "", format);
    rows.push_back({printable(name), with_commas(g.count), fmt::format("[{},{}]", g.rows, g.cols), formats,
                    fmt::format("{:.2f}", bits_per_weight(g.bytes, g.elements)),
                    in_bytes(static_cast<uint64_t>(g.bytes))});
  }
  out().write(table_text(rows, "lrllrr"));
  for (const std::string& name : files.unexpected()) out().line("unused       " + printable(name));
}

std::vector<LayerError> layer_errors(const ModelFiles& files, const RunConfig& config,
                                     const InspectModelOptions& own) {
  ThreadPool threads(static_cast<int>(config.threads.value_or(ThreadPool::available_cpus())));
  if (own.reference) return errors_against(files, ModelFiles::open(*own.reference), threads);
  if (files.quantized())
    throw Error(ErrorKind::usage,
                "the error of a quantized model is known only against the model it came from", files.path(),
                "say --reference <the original folder or file>");
  return errors_if_quantized(files, load_request(config).bnb, threads);
}

}  // namespace

int run_inspect_model(const std::vector<std::string>& arguments) {
  CommandLine line("inspect model", "inspect model --model M [--error] [--json]",
                   "Shows what a model is and how its tensors are stored, and with --error what quantization "
                   "costs in each layer.");
  RunConfig config;
  InspectModelOptions own;
  line.options.add_run_keys(
      config, {"model", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_blocksize", "threads"});
  line.options.add(own, table());
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "inspect model");
  const ModelFiles files = ModelFiles::open(config.model);
  std::vector<LayerError> layers;
  if (own.error) layers = layer_errors(files, config, own);
  if (line.common.json) {
    Json json = as_json(files);
    if (own.error) json["error"] = layer_errors_json(layers);
    out().json(json);
    return 0;
  }
  print(files);
  if (own.error) {
    out().line("");
    print_layer_errors(layers);
  }
  return 0;
}

}  // namespace lorikeet::cli
