#include "model/gguf_family.h"

#include <algorithm>

#include "model/rope_table.h"

namespace lorikeet {

namespace {

using Kind = GgufField::Kind;
using Need = GgufField::Need;
using Number = std::optional<double>;

Number positive(double value) { return value > 0 ? Number(value) : std::nullopt; }
Number window_of(const ModelSpec& s) {
  return s.window.empty() ? std::nullopt : positive(static_cast<double>(std::ranges::max(s.window)));
}
/// Every how many layers one has no window (Gemma 3).
Number window_period(const ModelSpec& s) {
  return static_cast<double>(std::ranges::find(s.window, 0) - s.window.begin() + 1);
}
template <auto kMember>
Number number_of(const ModelSpec& s) {
  return static_cast<double>(s.*kMember);
}
template <auto kMember>
Number positive_of(const ModelSpec& s) {
  return positive(s.*kMember);
}

constexpr GgufField kCommon[] = {
    {"context_length", "max_position_embeddings", Kind::integer, Need::required,
     number_of<&ModelSpec::max_position_embeddings>},
    {"embedding_length", "hidden_size", Kind::integer, Need::required, number_of<&ModelSpec::hidden_size>},
    {"block_count", "num_hidden_layers", Kind::integer, Need::required,
     number_of<&ModelSpec::num_hidden_layers>},
    {"feed_forward_length", "intermediate_size", Kind::integer, Need::required,
     number_of<&ModelSpec::intermediate_size>},
    {"attention.head_count", "num_attention_heads", Kind::integer, Need::required,
     number_of<&ModelSpec::num_attention_heads>},
    {"attention.head_count_kv", "num_key_value_heads", Kind::integer, Need::optional,
     number_of<&ModelSpec::num_key_value_heads>},
    {"attention.key_length", "head_dim", Kind::integer, Need::optional, number_of<&ModelSpec::head_dim>},
    {"attention.value_length", "", Kind::integer, Need::derived, number_of<&ModelSpec::head_dim>},
    {"vocab_size", "", Kind::integer, Need::derived, number_of<&ModelSpec::vocab_size>},
    {"rope.dimension_count", "", Kind::integer, Need::derived,
     [](const ModelSpec& s) { return positive(static_cast<double>(s.rope.rotary_dim)); }},
    {"rope.freq_base", "rope_theta", Kind::real, Need::optional,
     [](const ModelSpec& s) { return s.rope.rotary_dim > 0 ? Number(s.rope.theta) : std::nullopt; }},
};

constexpr GgufField norm_eps(const char* key, const char* config) {
  return {key, config, Kind::real, Need::required, number_of<&ModelSpec::norm_eps>};
}
constexpr GgufField kRms = norm_eps("attention.layer_norm_rms_epsilon", "rms_norm_eps");
constexpr GgufField window(Need need) {
  return {"attention.sliding_window", "sliding_window", Kind::integer, need, window_of};
}
constexpr GgufField kExpertsUsed = {"expert_used_count", "num_experts_per_tok", Kind::integer, Need::required,
                                    number_of<&ModelSpec::num_experts_per_tok>};
constexpr GgufField kRmsOnly[] = {kRms};
constexpr GgufField kPhi3[] = {kRms, window(Need::optional)};
constexpr GgufField kGemma2[] = {
    kRms,
    window(Need::required),
    {"attn_logit_softcapping", "attn_logit_softcapping", Kind::real, Need::optional,
     positive_of<&ModelSpec::attention_softcap>},
    {"final_logit_softcapping", "final_logit_softcapping", Kind::real, Need::optional,
     positive_of<&ModelSpec::logit_softcap>},
};
constexpr GgufField kGemma3[] = {
    kRms,
    window(Need::required),
    {"attention.sliding_window_pattern", "sliding_window_pattern", Kind::integer, Need::optional,
     window_period},
    {"rope.freq_base_swa", "rope_local_base_freq", Kind::real, Need::optional,
     [](const ModelSpec& s) { return s.window_rope ? Number(s.window_rope->theta) : std::nullopt; }},
};
constexpr GgufField kGranite[] = {
    kRms,
    {"embedding_scale", "embedding_multiplier", Kind::real, Need::optional,
     number_of<&ModelSpec::embedding_scale>},
    {"residual_scale", "residual_multiplier", Kind::real, Need::optional,
     number_of<&ModelSpec::residual_scale>},
    {"attention.scale", "attention_multiplier", Kind::real, Need::optional,
     number_of<&ModelSpec::attention_scale>},
    {"logit_scale", "logits_scaling", Kind::real, Need::optional,
     [](const ModelSpec& s) { return Number(1 / s.logit_scale); }},
};
constexpr GgufField kStarcoder2[] = {norm_eps("attention.layer_norm_epsilon", "norm_epsilon"),
                                     window(Need::optional)};
constexpr GgufField kGpt2[] = {norm_eps("attention.layer_norm_epsilon", "layer_norm_epsilon")};

constexpr GgufField kMixtral[] = {
    kRms,
    {"expert_count", "num_local_experts", Kind::integer, Need::required,
     number_of<&ModelSpec::num_local_experts>},
    kExpertsUsed,
};
constexpr GgufField kQwen3Moe[] = {
    kRms,
    {"expert_count", "num_experts", Kind::integer, Need::required, number_of<&ModelSpec::num_local_experts>},
    kExpertsUsed,
    {"expert_feed_forward_length", "moe_intermediate_size", Kind::integer, Need::required,
     number_of<&ModelSpec::moe_intermediate_size>},
};

void complete_gemma(const GgufFile&, const std::string&, Json& c) { c["hidden_act"] = "gelu_pytorch_tanh"; }

/// llama.cpp keeps no query_pre_attn_scalar: it knows the models whose value is not head_dim.
void refuse_27b(const GgufFile& f, const Json& c, int64_t layers) {
  if (c["num_hidden_layers"] == layers)
    throw Error(ErrorKind::unsupported,
                "the 27B model scales its attention by a number that a GGUF file does not hold", f.path(),
                "use the original Hugging Face checkpoint");
}

void complete_gemma2(const GgufFile& f, const std::string&, Json& c) {
  refuse_27b(f, c, 46);
  c.erase("hidden_act");
  c["hidden_activation"] = "gelu_pytorch_tanh";
  c["query_pre_attn_scalar"] = c["head_dim"];
}

void complete_gemma3(const GgufFile& f, const std::string& p, Json& c) {
  refuse_27b(f, c, 62);
  complete_gemma2(f, p, c);
  if (!c.contains("sliding_window_pattern")) c["sliding_window_pattern"] = 6;
  if (!c.contains("rope_local_base_freq")) c["rope_local_base_freq"] = 10000.0;
}

void complete_qwen2(const GgufFile&, const std::string&, Json& c) { c.erase("attention_bias"); }

void complete_mixtral(const GgufFile&, const std::string&, Json& c) {
  c.erase("attention_bias");
  c.erase("mlp_bias");
}

/// Source: llama.cpp, src/models/qwen3moe.cpp: the weights of a token's experts always sum to 1.
void complete_qwen3_moe(const GgufFile&, const std::string&, Json& c) {
  c["norm_topk_prob"] = true;
  c.erase("mlp_bias");
}

void complete_phi3(const GgufFile& f, const std::string&, Json& c) {
  if (f.find("rope_factors_long.weight"))
    throw Error(ErrorKind::unsupported, "longrope is not supported in GGUF files",
                f.path() + ", tensor rope_factors_long.weight", "use the original Hugging Face checkpoint");
  c.erase("attention_bias");
  c.erase("mlp_bias");
  if (!c.contains("sliding_window")) c["sliding_window"] = nullptr;
}

void complete_starcoder2(const GgufFile&, const std::string&, Json& c) {
  c["use_bias"] = c["attention_bias"];
  c.erase("attention_bias");
  c.erase("mlp_bias");
  c["hidden_act"] = "gelu_pytorch_tanh";
}

/// GPT-2 has names of its own for everything.
void complete_gpt2(const GgufFile&, const std::string&, Json& c) {
  Json own = {{"architectures", c["architectures"]},
              {"model_type", c["model_type"]},
              {"vocab_size", c["vocab_size"]},
              {"n_embd", c["hidden_size"]},
              {"n_inner", c["intermediate_size"]},
              {"n_layer", c["num_hidden_layers"]},
              {"n_head", c["num_attention_heads"]},
              {"n_positions", c["max_position_embeddings"]},
              {"layer_norm_epsilon", c["layer_norm_epsilon"]},
              {"activation_function", "gelu_new"},
              {"tie_word_embeddings", c["tie_word_embeddings"]},
              {"torch_dtype", c["torch_dtype"]},
              {"use_cache", true}};
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (c.contains(id)) own[id] = c[id];
  c = std::move(own);
}

// Of several classes that are one architecture of llama.cpp, the first is what a file is read as.
constexpr GgufFamily kFamilies[] = {
    {"llama", "LlamaForCausalLM", "llama", false, true, 0, kRmsOnly, nullptr},
    {"llama", "MistralForCausalLM", "mistral", false, true, 0, kRmsOnly, nullptr},
    {"llama", "MixtralForCausalLM", "mixtral", true, true, 0, kMixtral, complete_mixtral},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", false, false, 0, kRmsOnly, complete_qwen2},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", false, false, 0, kRmsOnly, nullptr},
    {"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", true, false, 0, kQwen3Moe, complete_qwen3_moe},
    {"gemma", "GemmaForCausalLM", "gemma", false, false, 1, kRmsOnly, complete_gemma},
    {"gemma2", "Gemma2ForCausalLM", "gemma2", false, false, 1, kGemma2, complete_gemma2},
    {"gemma3", "Gemma3ForCausalLM", "gemma3_text", false, false, 1, kGemma3, complete_gemma3},
    {"olmo2", "Olmo2ForCausalLM", "olmo2", false, false, 0, kRmsOnly, nullptr},
    {"granite", "GraniteForCausalLM", "granite", false, true, 0, kGranite, nullptr},
    {"phi3", "Phi3ForCausalLM", "phi3", false, false, 0, kPhi3, complete_phi3},
    {"starcoder2", "Starcoder2ForCausalLM", "starcoder2", false, false, 0, kStarcoder2, complete_starcoder2},
    {"gpt2", "GPT2LMHeadModel", "gpt2", false, false, 0, kGpt2, complete_gpt2},
};

constexpr GgufTokenizerKey<int32_t> kTokenizerIds[] = {
    {"bos_token_id", &GgufTokenizerSource::bos_id},     {"eos_token_id", &GgufTokenizerSource::eos_id},
    {"padding_token_id", &GgufTokenizerSource::pad_id}, {"unknown_token_id", &GgufTokenizerSource::unk_id},
    {"eot_token_id", &GgufTokenizerSource::eot_id},
};
constexpr GgufTokenizerKey<bool> kTokenizerFlags[] = {
    {"add_bos_token", &GgufTokenizerSource::add_bos},
    {"add_eos_token", &GgufTokenizerSource::add_eos},
    {"add_space_prefix", &GgufTokenizerSource::add_space_prefix},
};

struct TensorName {
  const char* gguf;  ///< {} is the layer; one tensor holds all experts
  std::string ModuleNames::*module;
  RowOrder order = RowOrder::as_is;
};
constexpr TensorName kTensors[] = {
    {"token_embd", &ModuleNames::embedding},
    {"position_embd", &ModuleNames::positions},
    {"output_norm", &ModuleNames::final_norm},
    {"output", &ModuleNames::head},
    {"blk.{}.attn_norm", &ModuleNames::input_norm},
    {"blk.{}.post_attention_norm", &ModuleNames::attention_out_norm},
    {"blk.{}.ffn_norm", &ModuleNames::mlp_norm},
    {"blk.{}.post_ffw_norm", &ModuleNames::mlp_out_norm},
    {"blk.{}.attn_q_norm", &ModuleNames::q_norm},
    {"blk.{}.attn_k_norm", &ModuleNames::k_norm},
    {"blk.{}.attn_q", &ModuleNames::q, RowOrder::rope_q},
    {"blk.{}.attn_k", &ModuleNames::k, RowOrder::rope_k},
    {"blk.{}.attn_v", &ModuleNames::v},
    {"blk.{}.attn_qkv", &ModuleNames::qkv},
    {"blk.{}.attn_output", &ModuleNames::o},
    {"blk.{}.ffn_gate", &ModuleNames::gate},
    {"blk.{}.ffn_up", &ModuleNames::up},
    {"blk.{}.ffn_up", &ModuleNames::gate_up},
    {"blk.{}.ffn_down", &ModuleNames::down},
    {"blk.{}.ffn_gate_inp", &ModuleNames::router},
    {"blk.{}.ffn_gate_exps", &ModuleNames::expert_gate},
    {"blk.{}.ffn_up_exps", &ModuleNames::expert_up},
    {"blk.{}.ffn_down_exps", &ModuleNames::expert_down},
};

struct TypeRow {
  GgufType gguf;
  WeightType type;
};
constexpr TypeRow kTypes[] = {
    {GgufType::f32, DType::f32},          {GgufType::f16, DType::f16},
    {GgufType::bf16, DType::bf16},        {GgufType::q4_0, WeightFormat::q4_0},
    {GgufType::q4_1, WeightFormat::q4_1}, {GgufType::q5_0, WeightFormat::q5_0},
    {GgufType::q5_1, WeightFormat::q5_1}, {GgufType::q8_0, WeightFormat::q8_0},
    {GgufType::q4_k, WeightFormat::q4_k}, {GgufType::q5_k, WeightFormat::q5_k},
    {GgufType::q6_k, WeightFormat::q6_k},
};

}  // namespace

std::span<const GgufField> gguf_common_fields() { return kCommon; }
std::span<const GgufTokenizerKey<int32_t>> gguf_tokenizer_ids() { return kTokenizerIds; }
std::span<const GgufTokenizerKey<bool>> gguf_tokenizer_flags() { return kTokenizerFlags; }

std::string_view gguf_architecture(std::string_view architecture) {
  const GgufFamily* family = gguf_family_of(architecture);
  return family ? family->gguf : "";
}

const GgufFamily* gguf_family_of(std::string_view architecture) {
  for (const GgufFamily& family : kFamilies)
    if (architecture == family.architecture) return &family;
  return nullptr;
}

const GgufFamily& gguf_family(const GgufFile& f) {
  const std::string_view name = f.string("general.architecture");
  const int64_t experts = f.integer_or(std::string(name) + ".expert_count", 0);
  std::string known;
  std::string_view last;
  for (const GgufFamily& family : kFamilies) {
    if (family.experts != (experts > 0)) continue;
    if (name == family.gguf) return family;
    if (last != family.gguf) known += (known.empty() ? "" : ", ") + std::string(family.gguf);
    last = family.gguf;
  }
  throw Error(ErrorKind::unsupported,
              fmt::format("GGUF architecture \"{}\"{} is not supported", name,
                          experts > 0 ? fmt::format(" with {} experts", experts) : ""),
              f.path() + ", key \"general.architecture\"", "supported: " + known);
}

std::map<std::string, GgufPlace> gguf_places(const ModelSpec& spec, const GgufFamily& family) {
  std::map<std::string, GgufPlace> table;
  for (const TensorName& n : kTensors) {
    if ((spec.names.*n.module).empty()) continue;
    const std::string_view gguf = n.gguf;
    const int64_t layers = gguf.find("{}") == std::string_view::npos ? 1 : spec.num_hidden_layers,
                  experts = gguf.ends_with("_exps") ? spec.num_local_experts : 1;
    for (int64_t i = 0; i < layers; ++i)
      for (int64_t e = 0; e < experts; ++e)
        for (const char* suffix : {".weight", ".bias"})
          table.emplace(expert_path(spec.names.*n.module, i, e) + suffix,
                        GgufPlace{layer_path(n.gguf, i) + suffix, family.permuted ? n.order : RowOrder::as_is,
                                  e, experts});
  }
  return table;
}

std::optional<WeightType> weight_type(GgufType type) {
  for (const TypeRow& row : kTypes)
    if (row.gguf == type) return row.type;
  return std::nullopt;
}

std::optional<GgufType> gguf_type(WeightType type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return row.gguf;
  return std::nullopt;
}

std::vector<float> gguf_rope_divisors(const RopeSpec& rope) {
  RopeSpec plain;
  plain.theta = rope.theta;
  plain.rotary_dim = rope.rotary_dim;
  std::vector<float> divisors = rope_inverse_frequencies(plain, 1);
  const std::vector<float> turned = rope_inverse_frequencies(rope, 1);
  for (size_t i = 0; i < divisors.size(); ++i) divisors[i] /= turned[i];
  return divisors;
}

}  // namespace lorikeet
