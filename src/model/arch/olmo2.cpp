// OLMo 2: Llama with norms after attention and MLP instead of before them, and over all heads of query and
// key at once.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec olmo2_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.norm_eps = c.number_or("rms_norm_eps", 1e-5);
  read_padding(c, s, 1);
  s.qk_norm = QkNorm::whole;
  s.names.input_norm = s.names.mlp_norm = "";
  s.names.attention_out_norm = "model.layers.{}.post_attention_layernorm";
  s.names.mlp_out_norm = "model.layers.{}.post_feedforward_layernorm";
  return s;
}

}  // namespace lorikeet
