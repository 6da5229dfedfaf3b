// A Hugging Face folder: config.json, safetensors, generation_config.json.
#include <filesystem>
#include <set>

#include "model/arch/registry.h"
#include "model/files_state.h"
#include "model/packed_reader.h"

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

void add_dense(const ExpectedTensor& e, const SafetensorsSet& set, TensorComplaints& complaints,
               std::set<std::string>& known, std::vector<SourceTensor>& out) {
  const SafetensorsTensor* t = find_tensor(set, e.name);
  if (!t) return complaints.missing(e.name);
  known.insert(t->name);
  if (t->shape != e.shape()) return complaints.wrong_shape(e.name, t->shape, e.shape());
  const TensorView view = float_view(*t, set.file_of(*t));
  if (size_of(view.dtype) > sizeof(float))
    throw Error(ErrorKind::unsupported,
                fmt::format("tensor \"{}\" has type {}, only F32, BF16 and F16 are supported", e.name,
                            name_of(t->type)),
                set.file_of(*t));
  Weight w = Weight::dense(view);
  w.rows = e.rows;
  w.cols = e.cols;
  w.transposed = e.transposed;
  out.push_back({e, t->name, set.file_of(*t), w, {{t->data, t->bytes}}, RowOrder::as_is, 0});
}

}  // namespace

void open_hf_folder(const std::string& folder, ModelFiles::State& state) {
  const std::string config_path = (fs::path(folder) / "config.json").string();
  state.config = HfConfig(read_json_file(config_path), config_path);
  state.spec = read_model_spec(state.config);
  read_generation(folder, state);

  state.safetensors = SafetensorsSet::open_folder(folder);
  const SafetensorsSet& set = *state.safetensors;
  const std::unique_ptr<PackedReader> packed = packed_reader(state.config, set);
  const std::vector<ExpectedTensor> expected = expected_tensors(state.spec);
  TensorComplaints complaints;
  std::set<std::string> known;
  for (const ExpectedTensor& e : expected) {
    std::optional<SourceTensor> quantized;
    if (packed && e.role != TensorRole::vector) quantized = packed->read(e);
    if (quantized)
      state.tensors.push_back(std::move(*quantized));
    else
      add_dense(e, set, complaints, known, state.tensors);
  }
  complaints.raise(set.path(), expected.size());
  if (packed) {
    known.insert(packed->used().begin(), packed->used().end());
    state.quantization = packed->describe();
  }
  for (const SafetensorsTensor& t : set.tensors())
    if (!known.contains(t.name) && !is_known_extra(t.name, state.spec)) state.unexpected.push_back(t.name);
}

}  // namespace lorikeet
