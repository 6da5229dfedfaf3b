// Phi-3, 3.5 and 4: Llama with fused projections, optionally a window, longrope and a rotary embedding of
// part of each head.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec phi3_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.qkv = QkvLayout::stacked;
  s.mlp = MlpKind::gated_stacked;
  s.norm_eps = c.number_or("rms_norm_eps", 1e-5);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 4096);
  s.window = read_windows(c, s, read_window(c, 0), [](int64_t) { return true; });
  read_padding(c, s, 32000);
  read_rope(c, s);
  c.expect("full_attn_mod", 1);
  c.expect("interpolate_factor", 1);
  c.expect("lm_head_bias", false);
  return s;
}

}  // namespace lorikeet
