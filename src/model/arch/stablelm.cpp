// StableLM: Llama with layer norms, a rotary embedding of part of each head, optionally attention and MLP
// side by side on one norm.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec stablelm_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.num_key_value_heads = c.integer_or("num_key_value_heads", 32);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 4096);
  s.norm = NormKind::layer;
  s.norm_bias = true;
  s.norm_eps = c.number_or("layer_norm_eps", 1e-5);
  s.qkv_bias = c.boolean_or("use_qkv_bias", false);
  c.expect("qk_layernorm", false);
  read_rope(c, s, {10000, 0.25});
  if (c.boolean_or("use_parallel_residual", false)) {
    s.residual = Residual::parallel;
    s.names.mlp_norm = "";
  }
  return s;
}

}  // namespace lorikeet
