// A GGUF file as Hugging Face tensors: names, formats, row orders, tokenizer metadata.
#include <map>

#include "model/arch/registry.h"
#include "model/files_state.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

struct GgufName {
  const char* gguf;  ///< {} is the layer; one tensor holds all experts
  std::string ModuleNames::*module;
  RowOrder order;
};
constexpr GgufName kNames[] = {
    {"token_embd", &ModuleNames::embedding, RowOrder::as_is},
    {"position_embd", &ModuleNames::positions, RowOrder::as_is},
    {"output_norm", &ModuleNames::final_norm, RowOrder::as_is},
    {"output", &ModuleNames::head, RowOrder::as_is},
    {"blk.{}.attn_norm", &ModuleNames::input_norm, RowOrder::as_is},
    {"blk.{}.post_attention_norm", &ModuleNames::attention_out_norm, RowOrder::as_is},
    {"blk.{}.ffn_norm", &ModuleNames::mlp_norm, RowOrder::as_is},
    {"blk.{}.post_ffw_norm", &ModuleNames::mlp_out_norm, RowOrder::as_is},
    {"blk.{}.attn_q_norm", &ModuleNames::q_norm, RowOrder::as_is},
    {"blk.{}.attn_k_norm", &ModuleNames::k_norm, RowOrder::as_is},
    {"blk.{}.attn_q", &ModuleNames::q, RowOrder::rope_q},
    {"blk.{}.attn_k", &ModuleNames::k, RowOrder::rope_k},
    {"blk.{}.attn_v", &ModuleNames::v, RowOrder::as_is},
    {"blk.{}.attn_qkv", &ModuleNames::qkv, RowOrder::as_is},
    {"blk.{}.attn_output", &ModuleNames::o, RowOrder::as_is},
    {"blk.{}.ffn_gate", &ModuleNames::gate, RowOrder::as_is},
    {"blk.{}.ffn_up", &ModuleNames::up, RowOrder::as_is},
    {"blk.{}.ffn_up", &ModuleNames::gate_up, RowOrder::as_is},
    {"blk.{}.ffn_down", &ModuleNames::down, RowOrder::as_is},
    {"blk.{}.ffn_gate_inp", &ModuleNames::router, RowOrder::as_is},
    {"blk.{}.ffn_gate_exps", &ModuleNames::expert_gate, RowOrder::as_is},
    {"blk.{}.ffn_up_exps", &ModuleNames::expert_up, RowOrder::as_is},
    {"blk.{}.ffn_down_exps", &ModuleNames::expert_down, RowOrder::as_is},
};

struct Place {
  std::string name;
  RowOrder order = RowOrder::as_is;
  int64_t part = 0, parts = 1;  ///< of the tensor's slowest dimension: the experts
};

/// Hugging Face name -> name in the file.
std::map<std::string, Place> name_table(const ModelSpec& spec, const GgufFamily& family) {
  std::map<std::string, Place> table;
  for (const GgufName& n : kNames) {
    if ((spec.names.*n.module).empty()) continue;
    const std::string_view gguf = n.gguf;
    const int64_t layers = gguf.find("{}") == std::string_view::npos ? 1 : spec.num_hidden_layers,
                  experts = gguf.ends_with("_exps") ? spec.num_local_experts : 1;
    for (int64_t i = 0; i < layers; ++i)
      for (int64_t e = 0; e < experts; ++e)
        for (const char* suffix : {".weight", ".bias"})
          table.emplace(
              expert_path(spec.names.*n.module, i, e) + suffix,
              Place{layer_path(n.gguf, i) + suffix, family.permuted ? n.order : RowOrder::as_is, e, experts});
  }
  return table;
}

struct Storage {
  WeightFormat format;
  DType dtype;
};
std::optional<Storage> storage_of(GgufType type) {
  switch (type) {
    case GgufType::f32:
      return Storage{WeightFormat::dense, DType::f32};
    case GgufType::f16:
      return Storage{WeightFormat::dense, DType::f16};
    case GgufType::bf16:
      return Storage{WeightFormat::dense, DType::bf16};
    case GgufType::q4_0:
      return Storage{WeightFormat::q4_0, DType::f32};
    case GgufType::q4_1:
      return Storage{WeightFormat::q4_1, DType::f32};
    case GgufType::q5_0:
      return Storage{WeightFormat::q5_0, DType::f32};
    case GgufType::q5_1:
      return Storage{WeightFormat::q5_1, DType::f32};
    case GgufType::q8_0:
      return Storage{WeightFormat::q8_0, DType::f32};
    case GgufType::q4_k:
      return Storage{WeightFormat::q4_k, DType::f32};
    case GgufType::q5_k:
      return Storage{WeightFormat::q5_k, DType::f32};
    case GgufType::q6_k:
      return Storage{WeightFormat::q6_k, DType::f32};
    default:
      return std::nullopt;
  }
}

void add_tensor(const GgufTensor& t, const ExpectedTensor& e, const Place& place, float added,
                const std::string& file, std::vector<SourceTensor>& out) {
  const std::optional<Storage> s = storage_of(t.type);
  if (!s)
    throw Error(ErrorKind::unsupported,
                fmt::format("tensor \"{}\" has type {}, which is not supported", t.name, name_of(t.type)),
                file, "supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K");
  Weight w;
  w.format = s->format;
  w.dtype = s->dtype;
  w.rows = e.rows;
  w.cols = e.cols;
  const int64_t bytes = weight_bytes(s->format, s->dtype, e.rows, e.cols);
  if (t.bytes != static_cast<size_t>(bytes * place.parts))
    throw Error(
        ErrorKind::format,
        fmt::format("tensor \"{}\" has {} bytes, its shape needs {}", t.name, t.bytes, bytes * place.parts),
        file);
  const std::byte* data = t.data + bytes * place.part;
  w.data = data;
  out.push_back({e, t.name, file, w, {{data, static_cast<size_t>(bytes)}}, place.order, added});
}

}  // namespace

GgufTokenizerSource gguf_tokenizer_source(const GgufFile& f) {
  const std::string k = "tokenizer.ggml.";
  GgufTokenizerSource s;
  s.file = f.path();
  s.model = f.string(k + "model");
  if (f.has(k + "pre")) s.pre = f.string(k + "pre");
  for (const std::string_view token : f.strings(k + "tokens")) s.tokens.emplace_back(token);
  if (f.has(k + "token_type"))
    for (const int64_t type : f.integers(k + "token_type"))
      s.token_types.push_back(static_cast<int32_t>(type));
  if (f.has(k + "merges"))
    for (const std::string_view merge : f.strings(k + "merges")) s.merges.emplace_back(merge);
  if (f.has(k + "scores"))
    for (const double score : f.numbers(k + "scores")) s.scores.push_back(static_cast<float>(score));
  const auto id = [&](const char* name) -> std::optional<int32_t> {
    if (!f.has(k + name)) return std::nullopt;
    const int64_t value = f.integer(k + name);
    // 2^32 - 1 is how some writers say "none".
    if (value < 0 || value > INT32_MAX) return std::nullopt;
    return static_cast<int32_t>(value);
  };
  const auto flag = [&](const char* name) -> std::optional<bool> {
    if (!f.has(k + name)) return std::nullopt;
    return f.boolean(k + name);
  };
  s.bos_id = id("bos_token_id");
  s.eos_id = id("eos_token_id");
  s.pad_id = id("padding_token_id");
  s.unk_id = id("unknown_token_id");
  s.eot_id = id("eot_token_id");
  s.add_bos = flag("add_bos_token");
  s.add_eos = flag("add_eos_token");
  s.add_space_prefix = flag("add_space_prefix");
  if (f.has("tokenizer.chat_template")) s.chat_template = f.string("tokenizer.chat_template");
  if (f.has("tokenizer.huggingface.json")) s.huggingface_json = f.string("tokenizer.huggingface.json");
  return s;
}

void open_gguf_model(const std::string& path, ModelFiles::State& state) {
  state.gguf = GgufFile::open(path);
  const GgufFile& f = *state.gguf;
  if (f.has("general.name")) state.name = f.string("general.name");
  state.config = gguf_config(f);
  state.spec = read_model_spec(state.config);
  state.eos = token_ids(state.config.json(), "eos_token_id", path);
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (const auto it = state.config.json().find(key); it != state.config.json().end())
      state.generation_config[key] = *it;

  const GgufFamily& family = gguf_family(f);
  const std::map<std::string, Place> names = name_table(state.spec, family);
  const std::vector<ExpectedTensor> expected = expected_tensors(state.spec);
  TensorComplaints complaints;
  std::map<std::string, bool> used;
  for (const ExpectedTensor& e : expected) {
    const auto place = names.find(e.name);
    const GgufTensor* t = place == names.end() ? nullptr : f.find(place->second.name);
    if (!t) {
      if (place == names.end())
        complaints.missing(e.name);
      else if (place->second.part == 0)
        complaints.missing(place->second.name);
      continue;
    }
    used[t->name] = true;
    std::vector<int64_t> wanted{e.rows, e.cols};
    if (e.role == TensorRole::vector) wanted = {e.cols};
    if (place->second.parts > 1) wanted.insert(wanted.begin(), place->second.parts);
    if (t->shape == wanted)
      add_tensor(*t, e, place->second, e.name.ends_with("norm.weight") ? family.norms_added : 0, path,
                 state.tensors);
    else if (place->second.part == 0)
      complaints.wrong_shape(t->name, t->shape, wanted);
  }
  complaints.raise(path, expected.size());
  for (const GgufTensor& t : f.tensors())
    if (!used.contains(t.name) && t.name != "rope_freqs.weight") state.unexpected.push_back(t.name);
}

}  // namespace lorikeet
