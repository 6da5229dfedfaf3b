// OPT: layer norms, learned positions from the third row on, biases everywhere, a plain MLP with relu.
#include <algorithm>
#include <cmath>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec opt_spec(const HfConfig& c) {
  ModelSpec s;
  s.model_type = c.string_or("model_type", "opt");
  s.vocab_size = c.integer_or("vocab_size", 50272);
  s.hidden_size = c.integer("hidden_size");
  s.intermediate_size = c.integer("ffn_dim");
  s.num_hidden_layers = c.integer("num_hidden_layers");
  s.num_attention_heads = s.num_key_value_heads = c.integer("num_attention_heads");
  s.head_dim = s.hidden_size / std::max<int64_t>(1, s.num_attention_heads);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 2048);
  s.positions_offset = 2;
  read_padding(c, s, 1);
  s.norm = NormKind::layer;
  s.norm_eps = 1e-5;
  s.norm_bias = s.qkv_bias = s.o_bias = s.mlp_bias = true;
  s.mlp = MlpKind::plain;
  s.activation = read_activation(c, "activation_function", "relu");
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  s.attention_scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, s.head_dim)));
  c.expect("do_layer_norm_before", true);
  c.expect("_remove_final_layer_norm", false);
  c.expect("enable_bias", true);
  c.expect("layer_norm_elementwise_affine", true);
  c.expect("word_embed_proj_dim", s.hidden_size);
  const std::string layer = "model.decoder.layers.{}.";
  ModuleNames& n = s.names;
  n.embedding = "model.decoder.embed_tokens";
  n.positions = "model.decoder.embed_positions";
  n.final_norm = "model.decoder.final_layer_norm";
  n.input_norm = layer + "self_attn_layer_norm";
  n.mlp_norm = layer + "final_layer_norm";
  n.q = layer + "self_attn.q_proj";
  n.k = layer + "self_attn.k_proj";
  n.v = layer + "self_attn.v_proj";
  n.o = layer + "self_attn.out_proj";
  n.up = layer + "fc1";
  n.down = layer + "fc2";
  return s;
}

}  // namespace lorikeet
