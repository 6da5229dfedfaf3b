// Gemma 2: Gemma with norms before and after both halves, soft caps, and a window on every other layer.
#include <cmath>

#include "model/arch/families.h"

namespace lorikeet {

namespace {

/// 0 for null, `missing` if the field is not there.
double read_softcap(const HfConfig& c, const std::string& key, double missing) {
  if (c.has(key)) return c.number(key);
  return c.json().contains(key) ? 0 : missing;
}

}  // namespace

ModelSpec gemma2_spec(const HfConfig& c) {
  ModelSpec s = gemma_spec(c);
  s.attention_scale = 1 / std::sqrt(c.number_or("query_pre_attn_scalar", 256));
  s.attention_softcap = read_softcap(c, "attn_logit_softcapping", 50);
  s.logit_softcap = read_softcap(c, "final_logit_softcapping", 30);
  s.window = read_windows(c, s, read_window(c, 4096), [](int64_t layer) { return layer % 2 == 0; });
  s.names.attention_out_norm = "model.layers.{}.post_attention_layernorm";
  s.names.mlp_norm = "model.layers.{}.pre_feedforward_layernorm";
  s.names.mlp_out_norm = "model.layers.{}.post_feedforward_layernorm";
  return s;
}

}  // namespace lorikeet
