// The config.json that a GGUF file's metadata stands for.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/files_state.h"
#include "model/rope_table.h"

namespace lorikeet {

namespace {

/// GGUF keeps floats in 32 bits; the shortest decimal that reads back the same is what the original file
/// said.
double decimal(double x) { return std::strtod(fmt::format("{}", static_cast<float>(x)).c_str(), nullptr); }

double decimal_or(const GgufFile& f, const std::string& key, double fallback) {
  return f.has(key) ? decimal(f.number(key)) : fallback;
}

void gemma_extra(const GgufFile&, const std::string&, Json& c) { c["hidden_act"] = "gelu_pytorch_tanh"; }

/// llama.cpp keeps no query_pre_attn_scalar: it knows the models whose value is not head_dim.
void refuse_27b(const GgufFile& f, const std::string& p, int64_t layers) {
  if (f.integer(p + "block_count") == layers)
    throw Error(ErrorKind::unsupported,
                "the 27B model scales its attention by a number that a GGUF file does not hold", f.path(),
                "use the original Hugging Face checkpoint");
}

void add_window(const GgufFile& f, const std::string& p, Json& c) {
  c.erase("hidden_act");
  c["hidden_activation"] = "gelu_pytorch_tanh";
  c["query_pre_attn_scalar"] = c["head_dim"];
  c["sliding_window"] = f.integer(p + "attention.sliding_window");
}

void gemma2_extra(const GgufFile& f, const std::string& p, Json& c) {
  refuse_27b(f, p, 46);
  add_window(f, p, c);
  c["attn_logit_softcapping"] = decimal_or(f, p + "attn_logit_softcapping", 50);
  c["final_logit_softcapping"] = decimal_or(f, p + "final_logit_softcapping", 30);
}

void gemma3_extra(const GgufFile& f, const std::string& p, Json& c) {
  refuse_27b(f, p, 62);
  add_window(f, p, c);
  c["sliding_window_pattern"] = f.integer_or(p + "attention.sliding_window_pattern", 6);
  c["rope_local_base_freq"] = decimal_or(f, p + "rope.freq_base_swa", 10000);
}

void qwen2_extra(const GgufFile&, const std::string&, Json& c) { c.erase("attention_bias"); }

void granite_extra(const GgufFile& f, const std::string& p, Json& c) {
  c["embedding_multiplier"] = decimal_or(f, p + "embedding_scale", 1);
  c["residual_multiplier"] = decimal_or(f, p + "residual_scale", 1);
  c["attention_multiplier"] = decimal_or(f, p + "attention.scale", 1);
  c["logits_scaling"] = decimal_or(f, p + "logit_scale", 1);
}

void phi3_extra(const GgufFile& f, const std::string& p, Json& c) {
  if (f.find("rope_factors_long.weight"))
    throw Error(ErrorKind::unsupported, "longrope is not supported in GGUF files",
                f.path() + ", tensor rope_factors_long.weight", "use the original Hugging Face checkpoint");
  c.erase("attention_bias");
  c.erase("mlp_bias");
  c["sliding_window"] = f.has(p + "attention.sliding_window") && f.integer(p + "attention.sliding_window") > 0
                            ? Json(f.integer(p + "attention.sliding_window"))
                            : Json(nullptr);
}

void starcoder2_extra(const GgufFile& f, const std::string& p, Json& c) {
  c["use_bias"] = c["attention_bias"];
  c.erase("attention_bias");
  c.erase("mlp_bias");
  c["hidden_act"] = "gelu_pytorch_tanh";
  c["norm_epsilon"] = decimal(f.number(p + "attention.layer_norm_epsilon"));
  if (f.has(p + "attention.sliding_window")) c["sliding_window"] = f.integer(p + "attention.sliding_window");
}

/// GPT-2 has names of its own for everything.
void gpt2_extra(const GgufFile& f, const std::string& p, Json& c) {
  Json own = {{"architectures", c["architectures"]},
              {"model_type", c["model_type"]},
              {"vocab_size", c["vocab_size"]},
              {"n_embd", c["hidden_size"]},
              {"n_inner", c["intermediate_size"]},
              {"n_layer", c["num_hidden_layers"]},
              {"n_head", c["num_attention_heads"]},
              {"n_positions", c["max_position_embeddings"]},
              {"layer_norm_epsilon", decimal(f.number(p + "attention.layer_norm_epsilon"))},
              {"activation_function", "gelu_new"},
              {"tie_word_embeddings", c["tie_word_embeddings"]},
              {"torch_dtype", c["torch_dtype"]},
              {"use_cache", true}};
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (c.contains(id)) own[id] = c[id];
  c = std::move(own);
}

void mixtral_extra(const GgufFile& f, const std::string& p, Json& c) {
  c["num_local_experts"] = f.integer(p + "expert_count");
  c["num_experts_per_tok"] = f.integer(p + "expert_used_count");
  c.erase("attention_bias");
  c.erase("mlp_bias");
}

/// Source: llama.cpp, src/models/qwen3moe.cpp: the weights of a token's experts always sum to 1.
void qwen3_moe_extra(const GgufFile& f, const std::string& p, Json& c) {
  c["num_experts"] = f.integer(p + "expert_count");
  c["num_experts_per_tok"] = f.integer(p + "expert_used_count");
  c["moe_intermediate_size"] = f.integer(p + "expert_feed_forward_length");
  c["norm_topk_prob"] = true;
  c.erase("mlp_bias");
}

constexpr GgufFamily kFamilies[] = {
    {"llama", "LlamaForCausalLM", "llama", false, true, 0, nullptr},
    {"llama", "MixtralForCausalLM", "mixtral", true, true, 0, mixtral_extra},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", false, false, 0, qwen2_extra},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", false, false, 0, nullptr},
    {"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", true, false, 0, qwen3_moe_extra},
    {"gemma", "GemmaForCausalLM", "gemma", false, false, 1, gemma_extra},
    {"gemma2", "Gemma2ForCausalLM", "gemma2", false, false, 1, gemma2_extra},
    {"gemma3", "Gemma3ForCausalLM", "gemma3_text", false, false, 1, gemma3_extra},
    {"olmo2", "Olmo2ForCausalLM", "olmo2", false, false, 0, nullptr},
    {"granite", "GraniteForCausalLM", "granite", false, true, 0, granite_extra},
    {"phi3", "Phi3ForCausalLM", "phi3", false, false, 0, phi3_extra},
    {"starcoder2", "Starcoder2ForCausalLM", "starcoder2", false, false, 0, starcoder2_extra},
    {"gpt2", "GPT2LMHeadModel", "gpt2", false, false, 0, gpt2_extra},
};

Json linear_scaling(double factor) { return {{"rope_type", "linear"}, {"factor", decimal(factor)}}; }

/// Llama 3.1's scaling is stored as one divisor per frequency. The four numbers behind it are found by trying
/// the only forms in use (the largest divisor is the factor) and comparing every divisor.
Json llama3_scaling(const GgufFile& f, const GgufTensor& factors, double theta, int64_t rotary_dim) {
  const std::string where = f.path() + ", tensor rope_freqs.weight";
  if (factors.type != GgufType::f32 || factors.count() != rotary_dim / 2)
    throw Error(
        ErrorKind::format,
        fmt::format("rope factors are {}, {} F32 numbers are needed", factors.describe(), rotary_dim / 2),
        where);
  std::vector<float> divisors(static_cast<size_t>(rotary_dim / 2));
  std::memcpy(divisors.data(), factors.data, divisors.size() * sizeof(float));
  RopeSpec plain, scaled;
  plain.theta = theta;
  plain.rotary_dim = rotary_dim;
  scaled = plain;
  scaled.scaling = RopeScaling::llama3;
  scaled.factor = std::round(static_cast<double>(*std::max_element(divisors.begin(), divisors.end())));
  scaled.low_freq_factor = 1;
  scaled.high_freq_factor = 4;
  scaled.original_max_position_embeddings = 8192;
  const std::vector<float> base = rope_inverse_frequencies(plain, 1),
                           turned = rope_inverse_frequencies(scaled, 1);
  for (size_t i = 0; i < divisors.size(); ++i)
    if (!(std::abs(base[i] / turned[i] - divisors[i]) <=
          1e-3f * divisors[i]))  // the writer computed in another order
      throw Error(ErrorKind::unsupported,
                  fmt::format("rope factor {} is {}, Llama 3's scaling would give {}", i, divisors[i],
                              base[i] / turned[i]),
                  where,
                  "only Llama 3.1's rope scaling (factors 1 and 4, original length 8192) is supported");
  return {{"rope_type", "llama3"},
          {"factor", scaled.factor},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

Json rope_scaling(const GgufFile& f, const std::string& prefix, double theta, int64_t rotary_dim) {
  const std::string k = prefix + "rope.scaling.";
  const std::string type = f.has(k + "type") ? std::string(f.string(k + "type")) : "none";
  if (type == "linear") return linear_scaling(f.number(k + "factor"));
  if (type != "none")
    throw Error(ErrorKind::unsupported, fmt::format("rope scaling \"{}\" is not supported", type),
                f.path() + ", key \"" + k + "type\"", "supported: none, linear, and Llama 3's");
  if (f.has(prefix + "rope.scale_linear") && f.number(prefix + "rope.scale_linear") != 1)
    return linear_scaling(f.number(prefix + "rope.scale_linear"));
  if (const GgufTensor* factors = f.find("rope_freqs.weight"))
    return llama3_scaling(f, *factors, theta, rotary_dim);
  return nullptr;
}

void add_token_ids(const GgufFile& f, Json& config) {
  const GgufTokenizerSource t = [&] {
    GgufTokenizerSource ids;
    const auto id = [&](const char* name) -> std::optional<int32_t> {
      const std::string key = std::string("tokenizer.ggml.") + name;
      if (!f.has(key)) return std::nullopt;
      const int64_t value = f.integer(key);
      return value < 0 || value > INT32_MAX ? std::nullopt : std::optional(static_cast<int32_t>(value));
    };
    ids.bos_id = id("bos_token_id");
    ids.eos_id = id("eos_token_id");
    ids.eot_id = id("eot_token_id");
    ids.pad_id = id("padding_token_id");
    return ids;
  }();
  if (t.bos_id) config["bos_token_id"] = *t.bos_id;
  if (t.eos_id && t.eot_id && *t.eot_id != *t.eos_id)
    config["eos_token_id"] = {*t.eos_id, *t.eot_id};
  else if (t.eos_id)
    config["eos_token_id"] = *t.eos_id;
  if (t.pad_id) config["pad_token_id"] = *t.pad_id;
}

}  // namespace

std::string_view gguf_architecture(std::string_view architecture) {
  for (const GgufFamily& family : kFamilies)
    if (architecture == family.architecture) return family.gguf;
  return {};
}

const GgufFamily& gguf_family(const GgufFile& f) {
  const std::string_view name = f.string("general.architecture");
  const int64_t experts = f.integer_or(std::string(name) + ".expert_count", 0);
  std::string known;
  for (const GgufFamily& family : kFamilies) {
    if (family.experts != (experts > 0)) continue;
    if (name == family.gguf) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.gguf);
  }
  throw Error(ErrorKind::unsupported,
              fmt::format("GGUF architecture \"{}\"{} is not supported", name,
                          experts > 0 ? fmt::format(" with {} experts", experts) : ""),
              f.path() + ", key \"general.architecture\"", "supported: " + known);
}

HfConfig gguf_config(const GgufFile& f) {
  if (f.integer_or("split.count", 1) > 1)
    throw Error(ErrorKind::unsupported,
                fmt::format("the model is split into {} GGUF files, which is not supported",
                            f.integer("split.count")),
                f.path() + ", key \"split.count\"", "join them with llama.cpp's gguf-split --merge");
  const GgufFamily& family = gguf_family(f);
  const std::string p = std::string(family.gguf) + ".";
  const int64_t heads = f.integer(p + "attention.head_count"), hidden = f.integer(p + "embedding_length");
  if (heads < 1 || hidden < 1)
    throw Error(ErrorKind::format, fmt::format("{} heads and width {} are impossible", heads, hidden),
                f.path());
  const int64_t head_dim = f.integer_or(p + "attention.key_length", hidden / heads);
  const int64_t rotary_dim = f.integer_or(p + "rope.dimension_count", head_dim);
  if (rotary_dim != head_dim)
    throw Error(
        ErrorKind::unsupported,
        fmt::format("only {} of {} elements of each head turn, which is not supported", rotary_dim, head_dim),
        f.path() + ", key \"" + p + "rope.dimension_count\"");
  if (f.integer_or(p + "attention.value_length", head_dim) != head_dim)
    throw Error(ErrorKind::unsupported, "keys and values of different length are not supported",
                f.path() + ", key \"" + p + "attention.value_length\"");
  const double theta = decimal(f.number_or(p + "rope.freq_base", 10000));
  const GgufTensor* embedding = f.find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    throw Error(ErrorKind::format, "tensor \"token_embd.weight\" is missing or no matrix", f.path());

  Json c = Json::object();
  c["architectures"] = {family.architecture};
  c["model_type"] = family.model_type;
  c["vocab_size"] = embedding->shape[0];
  c["hidden_size"] = hidden;
  c["intermediate_size"] = f.integer(p + "feed_forward_length");
  c["num_hidden_layers"] = f.integer(p + "block_count");
  c["num_attention_heads"] = heads;
  c["num_key_value_heads"] = f.integer_or(p + "attention.head_count_kv", heads);
  c["head_dim"] = head_dim;
  c["max_position_embeddings"] = f.integer(p + "context_length");
  const std::string eps = p + "attention.layer_norm_rms_epsilon";  // layer norms: see the family
  if (f.has(eps) || !f.has(p + "attention.layer_norm_epsilon")) c["rms_norm_eps"] = decimal(f.number(eps));
  c["rope_theta"] = theta;
  if (head_dim < 2 || head_dim > 65536 || head_dim % 2 != 0)
    throw Error(ErrorKind::format, fmt::format("heads of {} elements are impossible", head_dim), f.path());
  if (const Json scaling = rope_scaling(f, p, theta, head_dim); !scaling.is_null())
    c["rope_scaling"] = scaling;
  c["hidden_act"] = "silu";
  c["attention_bias"] = f.find("blk.0.attn_q.bias") != nullptr;
  c["mlp_bias"] = f.find("blk.0.ffn_up.bias") != nullptr;
  c["tie_word_embeddings"] = f.find("output.weight") == nullptr;
  c["torch_dtype"] = "bfloat16";
  c["use_cache"] = true;
  add_token_ids(f, c);
  if (family.extra) family.extra(f, p, c);
  return HfConfig(std::move(c), f.path());
}

}  // namespace lorikeet
