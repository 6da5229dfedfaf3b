// Phi-1, 1.5 and 2: layer norms, attention and MLP side by side on one norm, biases everywhere, also in the
// head, a rotary embedding of part of each head.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec phi_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.norm = NormKind::layer;
  s.norm_bias = s.qkv_bias = s.o_bias = s.mlp_bias = s.head_bias = true;
  s.norm_eps = c.number_or("layer_norm_eps", 1e-5);
  s.mlp = MlpKind::plain;
  s.activation = read_activation(c, "hidden_act", "gelu_new");
  s.residual = Residual::parallel;
  c.expect("qk_layernorm", false);
  read_rope(c, s, {10000, 0.5});
  ModuleNames& n = s.names;
  n.final_norm = "model.final_layernorm";
  n.mlp_norm = "";
  n.o = "model.layers.{}.self_attn.dense";
  n.up = "model.layers.{}.mlp.fc1";
  n.down = "model.layers.{}.mlp.fc2";
  return s;
}

}  // namespace lorikeet
