// Command-R: layer norms without bias, attention and MLP side by side on one norm, neighbours turn together,
// scaled logits.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec cohere_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 8192);
  read_padding(c, s, 0);
  s.norm = NormKind::layer;
  s.norm_eps = c.number_or("layer_norm_eps", 1e-5);
  s.residual = Residual::parallel;
  s.rope.interleaved = true;
  s.logit_scale = c.number_or("logit_scale", 0.0625);
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  c.expect("use_qk_norm", false);
  s.names.mlp_norm = "";
  return s;
}

}  // namespace lorikeet
