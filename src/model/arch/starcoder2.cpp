// StarCoder 2: Llama's attention with layer norms, biases everywhere, a plain MLP, optionally a window.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec starcoder2_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.num_key_value_heads = c.integer_or("num_key_value_heads", 2);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 4096);
  s.norm = NormKind::layer;
  s.norm_bias = true;
  s.norm_eps = c.number_or("norm_epsilon", 1e-5);
  s.qkv_bias = s.o_bias = s.mlp_bias = c.boolean_or("use_bias", true);
  s.mlp = MlpKind::plain;
  s.activation = read_activation(c, "hidden_act", "gelu_pytorch_tanh");
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  s.window = read_windows(c, s, read_window(c, 0), [](int64_t) { return true; });
  c.expect("norm_type", "layer_norm");
  c.expect("mlp_type", "default");
  s.names.up = "model.layers.{}.mlp.c_fc";
  s.names.down = "model.layers.{}.mlp.c_proj";
  return s;
}

}  // namespace lorikeet
