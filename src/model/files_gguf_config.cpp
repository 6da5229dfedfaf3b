// The config.json that a GGUF file's metadata stands for.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/arch/families.h"
#include "model/files_state.h"
#include "model/gguf_family.h"

namespace lorikeet {

namespace {

/// GGUF keeps floats in 32 bits; the shortest decimal that reads back the same is what the original file
/// said.
double decimal(double x) { return std::strtod(fmt::format("{}", static_cast<float>(x)).c_str(), nullptr); }

void read_fields(const GgufFile& f, const std::string& prefix, std::span<const GgufField> fields, Json& c) {
  for (const GgufField& field : fields) {
    const std::string key = prefix + field.key;
    if (field.need == GgufField::Need::derived || (field.need == GgufField::Need::optional && !f.has(key)))
      continue;
    if (field.kind == GgufField::Kind::integer)
      c[field.config] = f.integer(key);
    else if (field.kind == GgufField::Kind::choice)
      c[field.config] = f.boolean(key);
    else
      c[field.config] = decimal(f.number(key));
  }
}

std::vector<float> divisors(const GgufFile& f, const char* name, int64_t rotary_dim) {
  const GgufTensor& t = f.at(name);
  if (t.type != GgufType::f32 || t.count() != rotary_dim / 2)
    throw Error(ErrorKind::format,
                fmt::format("rope factors are {}, {} F32 numbers are needed", t.describe(), rotary_dim / 2),
                f.path() + ", tensor " + name);
  std::vector<float> all(static_cast<size_t>(rotary_dim / 2));
  std::memcpy(all.data(), t.data, all.size() * sizeof(float));
  return all;
}

Json linear_scaling(double factor) { return {{"rope_type", "linear"}, {"factor", decimal(factor)}}; }

/// Llama 3.1's scaling is stored as one divisor per frequency. The four numbers behind it are found by trying
/// the only forms in use (the largest divisor is the factor) and comparing every divisor.
Json llama3_scaling(const GgufFile& f, double theta, int64_t rotary_dim) {
  const std::string where = f.path() + ", tensor " + kGgufRopeDivisors;
  const std::vector<float> found = divisors(f, kGgufRopeDivisors, rotary_dim);
  RopeSpec scaled;
  scaled.theta = theta;
  scaled.rotary_dim = rotary_dim;
  scaled.scaling = RopeScaling::llama3;
  scaled.factor = std::round(static_cast<double>(*std::max_element(found.begin(), found.end())));
  scaled.low_freq_factor = 1;
  scaled.high_freq_factor = 4;
  scaled.original_max_position_embeddings = 8192;
  const std::vector<float> expected = gguf_rope_divisors(scaled);
  for (size_t i = 0; i < found.size(); ++i)
    if (!(std::abs(expected[i] - found[i]) <= 1e-3f * found[i]))  // the writer computed in another order
      throw Error(
          ErrorKind::unsupported,
          fmt::format("rope factor {} is {}, Llama 3's scaling would give {}", i, found[i], expected[i]),
          where, "only Llama 3.1's rope scaling (factors 1 and 4, original length 8192) is supported");
  return {{"rope_type", "llama3"},
          {"factor", scaled.factor},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

Json longrope_scaling(const GgufFile& f, const std::string& k, int64_t rotary_dim, Json& c) {
  c["original_max_position_embeddings"] = f.integer(k + "original_context_length");
  const auto decimals = [&](const char* name) {
    Json all = Json::array();
    for (const float x : divisors(f, name, rotary_dim)) all.push_back(decimal(static_cast<double>(x)));
    return all;
  };
  return {{"rope_type", "longrope"},
          {"short_factor", decimals(kGgufShortDivisors)},
          {"long_factor", decimals(kGgufLongDivisors)},
          {"attention_factor", decimal(f.number_or(k + "attn_factor", 1))}};
}

/// The shortest decimal of which the file would say `stored`: its quotient by `unit`, in 32 bits.
double multiple(float stored, double unit) {
  double found = 0;
  for (int digits = 1; digits <= std::numeric_limits<double>::max_digits10; ++digits) {
    found = std::strtod(fmt::format("{:.{}g}", static_cast<double>(stored) * unit, digits).c_str(), nullptr);
    if (static_cast<float>(found / unit) == stored) break;
  }
  return found;
}

/// llama.cpp takes the factor of cosine and sine from the scale, times attn_factor; it ignores
/// yarn_attn_factor. Source: llama.cpp, src/llama-context.cpp.
Json yarn_scaling(const GgufFile& f, const std::string& k) {
  for (const auto& [key, only] : {std::pair{"yarn_ext_factor", 1.0}, std::pair{"yarn_log_multiplier", 0.0}})
    if (const double value = f.number_or(k + key, only); value != only)
      throw Error(ErrorKind::unsupported,
                  fmt::format("yarn with {} = {} is not supported, only {}", key, value, only),
                  f.path() + ", key \"" + k + key + "\"");
  const double factor = decimal(f.number(k + "factor")), implied = yarn_attention_factor(factor);
  if (const double said = f.number_or(k + "yarn_attn_factor", implied);
      static_cast<float>(said) != static_cast<float>(implied))
    throw Error(ErrorKind::unsupported,
                fmt::format("llama.cpp ignores the attention factor {} and takes {}", said, implied),
                f.path() + ", key \"" + k + "yarn_attn_factor\"", "use the original Hugging Face checkpoint");
  Json c = {{"rope_type", "yarn"}, {"factor", factor}};
  if (const std::string key = k + "original_context_length"; f.has(key))
    c["original_max_position_embeddings"] = f.integer(key);
  for (const char* beta : {"beta_fast", "beta_slow"})
    if (const std::string key = k + "yarn_" + beta; f.has(key)) c[beta] = decimal(f.number(key));
  if (const std::string key = k + "attn_factor"; f.has(key))
    c["attention_factor"] = multiple(static_cast<float>(f.number(key)), implied);
  return c;
}

/// Null for none; longrope sets a field of `c` too.
Json rope_scaling(const GgufFile& f, const GgufFamily& family, double theta, int64_t rotary_dim, Json& c) {
  const std::string prefix = std::string(family.gguf) + ".", k = prefix + "rope.scaling.";
  const std::string type = f.has(k + "type") ? std::string(f.string(k + "type")) : "none";
  const bool longrope = f.find(kGgufLongDivisors) != nullptr;
  if (longrope && family.longrope && (type == "none" || type == "longrope"))
    return longrope_scaling(f, k, rotary_dim, c);
  if (type == "linear" && !longrope) return linear_scaling(f.number(k + "factor"));
  if (type == "yarn" && !longrope) return yarn_scaling(f, k);
  if (type != "none" || longrope)
    throw Error(ErrorKind::unsupported,
                fmt::format("rope scaling \"{}\" is not supported", longrope ? "longrope" : type),
                longrope ? f.path() + ", tensor " + kGgufLongDivisors : f.path() + ", key \"" + k + "type\"",
                "supported: none, linear, yarn, Llama 3's, and longrope for Phi 3");
  if (f.has(prefix + "rope.scale_linear") && f.number(prefix + "rope.scale_linear") != 1)
    return linear_scaling(f.number(prefix + "rope.scale_linear"));
  if (f.find(kGgufRopeDivisors)) return llama3_scaling(f, theta, rotary_dim);
  return nullptr;
}

/// How much of each head turns, so that the product with head_dim is rotary_dim again.
double partial_factor(int64_t rotary_dim, int64_t head_dim) {
  const double all = static_cast<double>(head_dim), part = static_cast<double>(rotary_dim) / all;
  return part * all < static_cast<double>(rotary_dim) ? std::nextafter(part, 2.0) : part;
}

void add_token_ids(const GgufFile& f, Json& config) {
  const auto bos = gguf_token_id(f, "bos_token_id"), eos = gguf_token_id(f, "eos_token_id"),
             eot = gguf_token_id(f, "eot_token_id"), pad = gguf_token_id(f, "padding_token_id");
  if (bos) config["bos_token_id"] = *bos;
  if (eos && eot && *eot != *eos)
    config["eos_token_id"] = {*eos, *eot};
  else if (eos)
    config["eos_token_id"] = *eos;
  if (pad) config["pad_token_id"] = *pad;
}

}  // namespace

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
  if (rotary_dim != head_dim && !family.partial_rope)
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
  c["rope_theta"] = theta;
  for (const std::span<const GgufField> fields : {gguf_common_fields(), family.fields})
    read_fields(f, p, fields, c);
  c["num_key_value_heads"] = f.integer_or(p + "attention.head_count_kv", heads);
  c["head_dim"] = head_dim;
  if (head_dim < 2 || head_dim > 65536 || head_dim % 2 != 0)
    throw Error(ErrorKind::format, fmt::format("heads of {} elements are impossible", head_dim), f.path());
  if (rotary_dim < 2 || rotary_dim > head_dim || rotary_dim % 2 != 0)
    throw Error(ErrorKind::format,
                fmt::format("{} of {} elements of each head cannot turn in pairs", rotary_dim, head_dim),
                f.path() + ", key \"" + p + "rope.dimension_count\"");
  if (family.partial_rope) c["partial_rotary_factor"] = partial_factor(rotary_dim, head_dim);
  if (const Json scaling = rope_scaling(f, family, theta, rotary_dim, c); !scaling.is_null())
    c["rope_scaling"] = scaling;
  c["hidden_act"] = "silu";
  c["attention_bias"] = f.find("blk.0.attn_q.bias") != nullptr;
  c["mlp_bias"] = f.find("blk.0.ffn_up.bias") != nullptr;
  c["tie_word_embeddings"] = f.find("output.weight") == nullptr;
  c["torch_dtype"] = "bfloat16";
  c["use_cache"] = true;
  add_token_ids(f, c);
  if (family.complete) family.complete(f, p, c);
  return HfConfig(std::move(c), f.path());
}

}  // namespace lorikeet
