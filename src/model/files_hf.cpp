// A Hugging Face folder: config.json, safetensors, generation_config.json.
#include <filesystem>
#include <set>

#include "model/arch/registry.h"
#include "model/files_state.h"

namespace lorikeet {

namespace {

namespace fs = std::filesystem;

/// Tensors that old checkpoints carry and no current code reads, and the copy of tied embeddings.
bool is_known_extra(const std::string& name, const ModelSpec& spec) {
  for (const char* end :
       {"rotary_emb.inv_freq", "attn.bias", "attn.masked_bias", "attention.bias", "attention.masked_bias"})
    if (name.ends_with(end)) return true;
  return spec.tie_word_embeddings && name == spec.names.head + ".weight";
}

/// By its name, or without the first part of it: checkpoints of the bare model (as OpenAI's GPT-2) lack the
/// prefix under which the whole model holds them.
const SafetensorsTensor* find_tensor(const SafetensorsSet& set, const std::string& name) {
  if (const SafetensorsTensor* t = set.find(name)) return t;
  return set.find(name.substr(name.find('.') + 1));
}

void refuse_quantized(const HfConfig& config) {
  if (!config.has("quantization_config")) return;
  const Json q = config.object("quantization_config");
  const auto method = q.find("quant_method");
  const std::string name =
      method != q.end() && method->is_string() ? method->get<std::string>() : "unknown method";
  throw Error(
      ErrorKind::unsupported,
      fmt::format(
          "the checkpoint is quantized ({}); quantized Hugging Face checkpoints are not supported yet", name),
      config.field("quantization_config"), "use the original checkpoint with method qlora, or a GGUF file");
}

void read_generation(const std::string& folder, ModelFiles::State& state) {
  const std::string path = (fs::path(folder) / "generation_config.json").string();
  std::error_code ignored;
  if (fs::exists(path, ignored)) {
    state.generation_config = read_json_file(path);
    if (!state.generation_config.is_object())
      throw Error(ErrorKind::format, "a generation configuration must be a JSON object", path);
    state.eos = token_ids(state.generation_config, "eos_token_id", path);
  }
  if (state.eos.empty()) state.eos = token_ids(state.config.json(), "eos_token_id", state.config.where());
}

}  // namespace

void open_hf_folder(const std::string& folder, ModelFiles::State& state) {
  const std::string config_path = (fs::path(folder) / "config.json").string();
  state.config = HfConfig(read_json_file(config_path), config_path);
  refuse_quantized(state.config);
  state.spec = read_model_spec(state.config);
  read_generation(folder, state);

  state.safetensors = SafetensorsSet::open_folder(folder);
  const SafetensorsSet& set = *state.safetensors;
  const std::vector<ExpectedTensor> expected = expected_tensors(state.spec);
  TensorComplaints complaints;
  std::set<std::string> known;
  for (const ExpectedTensor& e : expected) {
    const SafetensorsTensor* t = find_tensor(set, e.name);
    if (!t) {
      complaints.missing(e.name);
      continue;
    }
    known.insert(t->name);
    if (t->shape != e.shape()) {
      complaints.wrong_shape(e.name, t->shape, e);
      continue;
    }
    const TensorView view = float_view(*t, set.file_of(*t));
    if (size_of(view.dtype) > sizeof(float))
      throw Error(ErrorKind::unsupported,
                  fmt::format("tensor \"{}\" has type {}, only F32, BF16 and F16 are supported", e.name,
                              name_of(t->type)),
                  set.file_of(*t));
    state.tensors.push_back({e, t->name, set.file_of(*t), WeightFormat::dense, view.dtype, t->data, t->bytes,
                             RowOrder::as_is, e.transposed, 0});
  }
  complaints.raise(set.path(), expected.size());
  for (const SafetensorsTensor& t : set.tensors())
    if (!known.contains(t.name) && !is_known_extra(t.name, state.spec)) state.unexpected.push_back(t.name);
}

}  // namespace lorikeet
