// Gemma: Llama with norm weights stored as w - 1, embeddings times sqrt(hidden_size), gelu, heads of 256.
#include <cmath>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec gemma_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.head_dim = c.integer_or("head_dim", 256);
  s.attention_scale = 1 / std::sqrt(static_cast<double>(s.head_dim));
  read_rope(c, s);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 8192);
  s.norm_weight_offset = 1;
  read_padding(c, s, 0);
  s.embedding_scale = std::sqrt(static_cast<double>(s.hidden_size));
  s.embedding_scales_itself = true;
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  // Old configurations say "gelu" and mean the approximation; newer ones say it in hidden_activation.
  s.activation = read_activation(c, c.has("hidden_activation") ? "hidden_activation" : "hidden_act",
                                 "gelu_pytorch_tanh");
  if (s.activation == Activation::gelu) s.activation = Activation::gelu_tanh;
  return s;
}

}  // namespace lorikeet
