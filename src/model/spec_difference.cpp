#include "model/spec_difference.h"

#include <fmt/format.h>

#include <utility>

namespace lorikeet {

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

template <class T>
std::string text(const T& value) {
  if constexpr (std::is_same_v<T, double>)
    return fmt::format("{}", static_cast<float>(value));
  else if constexpr (std::is_enum_v<T>)
    return fmt::format("{}", static_cast<int>(value));
  else if constexpr (std::is_arithmetic_v<T>)
    return fmt::format("{}", value);
  else {
    std::string all;
    for (const auto element : value) all += (all.empty() ? "" : ", ") + text(element);
    return "[" + all + "]";
  }
}

void add_rope(const std::string& name, const RopeSpec& r, Lines& lines) {
  const auto add = [&](const char* field, const auto& value) {
    lines.emplace_back(fmt::format("{}.{}", name, field), text(value));
  };
  add("rotary_dim", r.rotary_dim);
  if (r.rotary_dim == 0) return;
  add("theta", r.theta);
  add("interleaved", r.interleaved);
  add("scaling", r.scaling);
  if (r.scaling == RopeScaling::none) return;
  add("factor", r.factor);
  if (r.scaling == RopeScaling::linear) return;
  add("low_freq_factor", r.low_freq_factor);
  add("high_freq_factor", r.high_freq_factor);
  add("beta_fast", r.beta_fast);
  add("beta_slow", r.beta_slow);
  add("truncate", r.truncate);
  add("attention_factor", r.attention_factor);
  add("original_max_position_embeddings", r.original_max_position_embeddings);
  add("short_factor", r.short_factor);
  add("long_factor", r.long_factor);
}

/// No window anywhere is the same as no list.
std::vector<int64_t> windows(const ModelSpec& s) {
  std::vector<int64_t> w = s.window;
  w.resize(static_cast<size_t>(s.num_hidden_layers));
  return w;
}

Lines lines_of(const ModelSpec& s) {
  Lines lines;
  const auto add = [&](const char* field, const auto& value) { lines.emplace_back(field, text(value)); };
  add("vocab_size", s.vocab_size);
  add("hidden_size", s.hidden_size);
  add("intermediate_size", s.intermediate_size);
  add("num_hidden_layers", s.num_hidden_layers);
  add("num_attention_heads", s.num_attention_heads);
  add("num_key_value_heads", s.num_key_value_heads);
  add("head_dim", s.head_dim);
  add("max_position_embeddings", s.max_position_embeddings);
  add("norm", s.norm);
  add("norm_eps", s.norm_eps);
  add("norm_weight_offset", s.norm_weight_offset);
  add("norm_bias", s.norm_bias);
  add("qk_norm", s.qk_norm);
  add("residual", s.residual);
  add("qkv", s.qkv);
  add("mlp", s.mlp);
  add("qkv_bias", s.qkv_bias);
  add("o_bias", s.o_bias);
  add("mlp_bias", s.mlp_bias);
  add("head_bias", s.head_bias);
  add("activation", s.activation);
  add("tie_word_embeddings", s.tie_word_embeddings);
  add("embedding_scale", s.embedding_scale);
  add("embedding_scales_itself", s.embedding_scales_itself);
  add("residual_scale", s.residual_scale);
  add("logit_scale", s.logit_scale);
  add("logit_softcap", s.logit_softcap);
  add("attention_softcap", s.attention_softcap);
  add("attention_scale", s.attention_scale);
  add("positions_offset", s.positions_offset);
  add("sliding_window", windows(s));
  add("without_rope", s.without_rope);
  add("num_local_experts", s.num_local_experts);
  if (s.num_local_experts > 0) {
    add("num_experts_per_tok", s.num_experts_per_tok);
    add("moe_intermediate_size", s.moe_intermediate_size);
    add("norm_topk_prob", s.norm_topk_prob);
    for (int64_t i = 0; i < s.num_hidden_layers; ++i) add("has_experts", s.has_experts(i));
  }
  add_rope("rope", s.rope, lines);
  if (s.window_rope) add_rope("window_rope", *s.window_rope, lines);
  return lines;
}

}  // namespace

std::optional<std::string> difference(const ModelSpec& a, const ModelSpec& b) {
  const Lines x = lines_of(a), y = lines_of(b);
  for (size_t i = 0; i < x.size() || i < y.size(); ++i) {
    if (i < x.size() && i < y.size() && x[i] == y[i]) continue;
    const auto& [name, value] = i < x.size() ? x[i] : y[i];
    const bool both = i < x.size() && i < y.size() && y[i].first == name;
    return fmt::format("{}: {}, {}", name, i < x.size() ? value : "none",
                       both           ? y[i].second
                       : i < y.size() ? value
                                      : "none");
  }
  return std::nullopt;
}

}  // namespace lorikeet
