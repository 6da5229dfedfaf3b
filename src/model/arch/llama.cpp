// LLaMA 1 to 3.3 and everything that calls itself one (SmolLM, TinyLlama, Yi, Falcon 3, ...). Names and
// defaults are those of transformers' LlamaConfig.
#include <algorithm>
#include <cmath>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec llama_spec(const HfConfig& c) {
  ModelSpec s;
  s.model_type = c.string_or("model_type", "llama");
  s.vocab_size = c.integer("vocab_size");
  s.hidden_size = c.integer("hidden_size");
  s.intermediate_size = c.integer("intermediate_size");
  s.num_hidden_layers = c.integer("num_hidden_layers");
  s.num_attention_heads = c.integer("num_attention_heads");
  s.num_key_value_heads = c.integer_or("num_key_value_heads", s.num_attention_heads);
  s.head_dim = c.integer_or("head_dim", s.hidden_size / std::max<int64_t>(1, s.num_attention_heads));
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 2048);
  s.norm_eps = c.number_or("rms_norm_eps", 1e-6);
  s.qkv_bias = s.o_bias = c.boolean_or("attention_bias", false);
  s.mlp_bias = c.boolean_or("mlp_bias", false);
  s.activation = read_activation(c, "hidden_act", "silu");
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", false);
  s.attention_scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, s.head_dim)));
  read_padding(c, s, -1);
  c.expect("pretraining_tp", 1);
  read_rope(c, s);
  return s;
}

}  // namespace lorikeet
