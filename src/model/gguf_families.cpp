// The architectures of llama.cpp that are read and written, in one table. Source: llama.cpp, src/models and
// convert_hf_to_gguf.py.
#include <algorithm>

#include "model/gguf_family.h"

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
constexpr GgufField layer_eps(const char* config) { return norm_eps("attention.layer_norm_epsilon", config); }
constexpr GgufField parallel(const char* config, Need need) {
  return {"use_parallel_residual", config, Kind::choice, need,
          [](const ModelSpec& s) { return Number(s.residual == Residual::parallel); }};
}
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
constexpr GgufField kStarcoder2[] = {layer_eps("norm_epsilon"), window(Need::optional)};
constexpr GgufField kLayerNormEpsilon[] = {layer_eps("layer_norm_epsilon")};
constexpr GgufField kLayerNormEps[] = {layer_eps("layer_norm_eps")};
constexpr GgufField kStableLm[] = {layer_eps("layer_norm_eps"), parallel("", Need::derived)};
constexpr GgufField kGptNeox[] = {layer_eps("layer_norm_eps"),
                                  parallel("use_parallel_residual", Need::required)};
constexpr GgufField kCohere[] = {
    layer_eps("layer_norm_eps"),
    {"logit_scale", "logit_scale", Kind::real, Need::required, number_of<&ModelSpec::logit_scale>},
};

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
  if (c.contains("rope_scaling") && c["rope_scaling"]["rope_type"] == "yarn")
    throw Error(ErrorKind::unsupported, "llama.cpp would scale the layers with a window by yarn too",
                f.path(), "use the original Hugging Face checkpoint");
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

void complete_phi3(const GgufFile&, const std::string&, Json& c) {
  if (c["partial_rotary_factor"] == 1.0) c.erase("partial_rotary_factor");
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

void complete_cohere(const GgufFile&, const std::string&, Json& c) { c.erase("mlp_bias"); }

/// llama.cpp, src/models/stablelm.cpp: attention and MLP lie side by side where the second norm is missing.
void complete_stablelm(const GgufFile& f, const std::string&, Json& c) {
  c["use_qkv_bias"] = c["attention_bias"];
  c["use_parallel_residual"] = f.find("blk.0.ffn_norm.weight") == nullptr;
  c.erase("attention_bias");
  c.erase("mlp_bias");
}

void complete_phi(const GgufFile&, const std::string&, Json& c) {
  c["hidden_act"] = "gelu_new";
  c.erase("attention_bias");
  c.erase("mlp_bias");
}

// GPT-NeoX and Falcon have the exact gelu. llama.cpp computes the approximation by tanh for all models, from
// a table in float16, whose rounding is as large as that difference (tools/check_gguf.py).

void complete_gpt_neox(const GgufFile& f, const std::string&, Json& c) {
  c["hidden_act"] = "gelu";
  c["attention_bias"] = f.find("blk.0.attn_qkv.bias") != nullptr;
  c["rotary_pct"] = c["partial_rotary_factor"];
  c["rotary_emb_base"] = c["rope_theta"];
  for (const char* key :
       {"mlp_bias", "partial_rotary_factor", "rope_theta", "num_key_value_heads", "head_dim"})
    c.erase(key);
}

/// Source: llama.cpp, src/models/falcon.cpp: the second norm tells Falcon 40B from 7B. Falcon 2 has several
/// key heads and one norm.
void complete_falcon(const GgufFile& f, const std::string&, Json& c) {
  const bool two_norms = f.find("blk.0.attn_norm_2.weight") != nullptr,
             grouped = two_norms || c["num_key_value_heads"] != 1;
  c["new_decoder_architecture"] = grouped;
  if (grouped) {
    c["num_kv_heads"] = c["num_key_value_heads"];
    c["num_ln_in_parallel_attn"] = two_norms ? 2 : 1;
  }
  c["multi_query"] = true;
  c["parallel_attn"] = true;
  c["alibi"] = false;
  c["bias"] = f.find("blk.0.attn_qkv.bias") != nullptr;
  c["activation"] = "gelu";
  c["ffn_hidden_size"] = c["intermediate_size"];
  for (const char* key :
       {"hidden_act", "attention_bias", "mlp_bias", "intermediate_size", "head_dim", "num_key_value_heads"})
    c.erase(key);
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

// What llama.cpp's loader of an architecture refuses or ignores.

const char* own_head(const ModelSpec& s) { return s.tie_word_embeddings ? nullptr : "a head of its own"; }
const char* tied_head(const ModelSpec& s) {
  return s.tie_word_embeddings ? "a head that is the embedding" : nullptr;
}
const char* outer_biases(const ModelSpec& s) {
  return s.o_bias || s.mlp_bias ? "biases outside of query, key and value" : nullptr;
}
const char* any_biases(const ModelSpec& s) { return s.qkv_bias ? "biases" : outer_biases(s); }
const char* attention_without_biases(const ModelSpec& s) {
  return s.qkv_bias && s.o_bias ? nullptr : "attention without biases";
}
const char* serial(const ModelSpec& s) {
  return s.residual == Residual::serial ? "attention and MLP one after the other" : nullptr;
}
const char* many_layers(const ModelSpec& s) {
  return s.num_hidden_layers >= 64 ? "64 layers or more without norms of query and key" : nullptr;
}
template <auto... kOne>
const char* first_of(const ModelSpec& s) {
  const char* found = nullptr;
  ((found = found ? found : kOne(s)), ...);
  return found;
}

constexpr GgufTensorName kFalcon40b[] = {{"blk.{}.attn_norm", &ModuleNames::mlp_norm},
                                         {"blk.{}.attn_norm_2", &ModuleNames::input_norm}};

constexpr GgufFamily kFamilies[] = {
    {.gguf = "llama",
     .architecture = "LlamaForCausalLM",
     .model_type = "llama",
     .permuted = true,
     .fields = kRmsOnly},
    {.gguf = "llama",
     .architecture = "MistralForCausalLM",
     .model_type = "mistral",
     .permuted = true,
     .fields = kRmsOnly},
    {.gguf = "llama",
     .architecture = "MixtralForCausalLM",
     .model_type = "mixtral",
     .experts = true,
     .permuted = true,
     .fields = kMixtral,
     .complete = complete_mixtral},
    {.gguf = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .fields = kRmsOnly,
     .complete = complete_qwen2},
    {.gguf = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .fields = kRmsOnly,
     .beyond = outer_biases},
    {.gguf = "qwen3moe",
     .architecture = "Qwen3MoeForCausalLM",
     .model_type = "qwen3_moe",
     .experts = true,
     .fields = kQwen3Moe,
     .complete = complete_qwen3_moe,
     .beyond = outer_biases},
    {.gguf = "gemma",
     .architecture = "GemmaForCausalLM",
     .model_type = "gemma",
     .norms_added = 1,
     .fields = kRmsOnly,
     .complete = complete_gemma,
     .beyond = first_of<own_head, outer_biases>},
    {.gguf = "gemma2",
     .architecture = "Gemma2ForCausalLM",
     .model_type = "gemma2",
     .norms_added = 1,
     .fields = kGemma2,
     .complete = complete_gemma2,
     .beyond = first_of<own_head, outer_biases>},
    {.gguf = "gemma3",
     .architecture = "Gemma3ForCausalLM",
     .model_type = "gemma3_text",
     .norms_added = 1,
     .fields = kGemma3,
     .complete = complete_gemma3,
     .beyond = outer_biases},
    {.gguf = "olmo2",
     .architecture = "Olmo2ForCausalLM",
     .model_type = "olmo2",
     .fields = kRmsOnly,
     .beyond = first_of<tied_head, outer_biases>},
    {.gguf = "granite",
     .architecture = "GraniteForCausalLM",
     .model_type = "granite",
     .permuted = true,
     .fields = kGranite},
    {.gguf = "smollm3",
     .architecture = "SmolLM3ForCausalLM",
     .model_type = "smollm3",
     .permuted = true,
     .fields = kRmsOnly,
     .beyond = outer_biases},
    {.gguf = "phi3",
     .architecture = "Phi3ForCausalLM",
     .model_type = "phi3",
     .partial_rope = true,
     .longrope = true,
     .fields = kPhi3,
     .complete = complete_phi3},
    {.gguf = "starcoder2",
     .architecture = "Starcoder2ForCausalLM",
     .model_type = "starcoder2",
     .fields = kStarcoder2,
     .complete = complete_starcoder2},
    {.gguf = "stablelm",
     .architecture = "StableLmForCausalLM",
     .model_type = "stablelm",
     .partial_rope = true,
     .fields = kStableLm,
     .complete = complete_stablelm,
     .beyond = first_of<tied_head, outer_biases>},
    {.gguf = "command-r",
     .architecture = "CohereForCausalLM",
     .model_type = "cohere",
     .fields = kCohere,
     .complete = complete_cohere,
     .beyond = first_of<own_head, outer_biases, many_layers>},
    {.gguf = "phi2",
     .architecture = "PhiForCausalLM",
     .model_type = "phi",
     .partial_rope = true,
     .fields = kLayerNormEps,
     .complete = complete_phi,
     .beyond = tied_head},
    {.gguf = "gpt2",
     .architecture = "GPT2LMHeadModel",
     .model_type = "gpt2",
     .fields = kLayerNormEpsilon,
     .complete = complete_gpt2},
    {.gguf = "gptneox",
     .architecture = "GPTNeoXForCausalLM",
     .model_type = "gpt_neox",
     .partial_rope = true,
     .fields = kGptNeox,
     .complete = complete_gpt_neox,
     .beyond = first_of<tied_head, attention_without_biases>},
    {.gguf = "falcon",
     .architecture = "FalconForCausalLM",
     .model_type = "falcon",
     .fields = kLayerNormEpsilon,
     .names = kFalcon40b,
     .complete = complete_falcon,
     .beyond = first_of<any_biases, serial>},
};

}  // namespace

std::span<const GgufField> gguf_common_fields() { return kCommon; }
std::span<const GgufFamily> gguf_families() { return kFamilies; }

}  // namespace lorikeet
