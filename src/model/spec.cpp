#include "model/spec.h"

#include <utility>

#include "core/error.h"

namespace lorikeet {

namespace {

struct Limit {
  const char* field;
  int64_t value, most;
};

template <class Refuse>
void validate_experts(const ModelSpec& s, const Refuse& refuse) {
  const Limit limits[] = {{"number of experts", s.num_local_experts, 4096},
                          {"num_experts_per_tok", s.num_experts_per_tok, s.num_local_experts},
                          {"moe_intermediate_size", s.moe_intermediate_size, int64_t{1} << 22}};
  for (const Limit& l : limits)
    if (l.value < 1 || l.value > l.most) refuse(l.field, l.value, "which no model can have");
  constexpr int64_t kMostExperts = int64_t{1} << 16;  // each is three tensors in memory
  if (s.num_local_experts * s.num_hidden_layers > kMostExperts)
    refuse("number of experts in all layers", s.num_local_experts * s.num_hidden_layers,
           "which no model has");
  if (s.mlp != MlpKind::gated || s.mlp_bias || s.residual_scale != 1 || !s.names.mlp_out_norm.empty())
    throw Error(
        ErrorKind::unsupported,
        "experts with biases, without gates, or with a norm or a factor behind them are not supported",
        "config.json");
}

}  // namespace

std::string layer_path(const std::string& pattern, int64_t layer) {
  const size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + 2);
}

std::string expert_path(const std::string& pattern, int64_t layer, int64_t expert) {
  return layer_path(layer_path(pattern, layer), expert);
}

void ModelSpec::validate() const {
  const auto refuse = [](const char* field, int64_t value, const char* why) {
    throw Error(ErrorKind::format, fmt::format("{} is {}, {}", field, value, why), "config.json",
                "the model's configuration is broken; download it again");
  };
  const Limit limits[] = {{"vocab_size", vocab_size, int64_t{1} << 24},
                          {"hidden_size", hidden_size, int64_t{1} << 20},
                          {"intermediate_size", intermediate_size, int64_t{1} << 22},
                          {"num_hidden_layers", num_hidden_layers, 4096},
                          {"num_attention_heads", num_attention_heads, 4096},
                          {"num_key_value_heads", num_key_value_heads, 4096},
                          {"head_dim", head_dim, 4096},
                          {"max_position_embeddings", max_position_embeddings, int64_t{1} << 30}};
  for (const Limit& l : limits)
    if (l.value < 1 || l.value > l.most) refuse(l.field, l.value, "which no model can have");
  if (num_local_experts != 0) validate_experts(*this, refuse);
  if (num_attention_heads % num_key_value_heads != 0)
    refuse("num_key_value_heads", num_key_value_heads, "which does not divide num_attention_heads");
  for (const RopeSpec* r : {&rope, window_rope ? &*window_rope : &rope}) {
    if (r->rotary_dim < 0 || r->rotary_dim > head_dim || r->rotary_dim % 2 != 0)
      refuse("rotary dimension", r->rotary_dim, "which must be even and at most head_dim");
    for (const std::vector<double>* factors : {&r->short_factor, &r->long_factor})
      if (r->scaling == RopeScaling::longrope && static_cast<int64_t>(factors->size()) != r->rotary_dim / 2)
        refuse("number of longrope factors", static_cast<int64_t>(factors->size()),
               "which is not half the rotary dimension");
  }
  if (window_rope && (rope.by_length() || window_rope->by_length()))
    throw Error(ErrorKind::unsupported, "two rotary embeddings that depend on the length are not supported",
                "config.json");
  if (!(logit_scale > 0) || !(attention_scale > 0))
    throw Error(
        ErrorKind::unsupported,
        fmt::format("logit scale {} and attention scale {} must be positive", logit_scale, attention_scale),
        "config.json");
  for (const int64_t w : window)
    if (w < 0) refuse("sliding_window", w, "which is below 0");
}

}  // namespace lorikeet
