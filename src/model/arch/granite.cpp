// Granite 3: Llama with multipliers on embeddings, attention scores, residuals and logits.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec granite_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.embedding_scale = c.number_or("embedding_multiplier", 1);
  s.residual_scale = c.number_or("residual_multiplier", 1);
  s.attention_scale = c.number_or("attention_multiplier", 1);
  s.logit_scale = 1 / c.number_or("logits_scaling", 1);
  return s;
}

}  // namespace lorikeet
