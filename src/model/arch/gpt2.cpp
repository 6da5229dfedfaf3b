// GPT-2: layer norms, learned positions, a fused query-key-value projection, a plain MLP; linear weights are
// stored [in,out]. Its dropout of the base is never applied.
#include <algorithm>
#include <cmath>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec gpt2_spec(const HfConfig& c) {
  ModelSpec s;
  s.model_type = c.string_or("model_type", "gpt2");
  s.vocab_size = c.integer_or("vocab_size", 50257);
  s.hidden_size = c.integer_or("n_embd", 768);
  s.intermediate_size = c.integer_or("n_inner", 4 * sane(s.hidden_size));
  s.num_hidden_layers = c.integer_or("n_layer", 12);
  s.num_attention_heads = s.num_key_value_heads = c.integer_or("n_head", 12);
  s.head_dim = s.hidden_size / std::max<int64_t>(1, s.num_attention_heads);
  s.max_position_embeddings = c.integer_or("n_positions", 1024);
  c.integer_or("n_ctx", 0);  // an older name of the same number
  s.norm = NormKind::layer;
  s.norm_bias = s.qkv_bias = s.o_bias = s.mlp_bias = s.conv1d = true;
  s.norm_eps = c.number_or("layer_norm_epsilon", 1e-5);
  s.qkv = QkvLayout::stacked;
  s.mlp = MlpKind::plain;
  s.activation = read_activation(c, "activation_function", "gelu_new");
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  s.attention_scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, s.head_dim)));
  c.expect("scale_attn_weights", true);
  c.expect("scale_attn_by_inverse_layer_idx", false);
  c.expect("add_cross_attention", false);
  ModuleNames& n = s.names;
  n.embedding = "transformer.wte";
  n.positions = "transformer.wpe";
  n.final_norm = "transformer.ln_f";
  n.input_norm = "transformer.h.{}.ln_1";
  n.mlp_norm = "transformer.h.{}.ln_2";
  n.qkv = "transformer.h.{}.attn.c_attn";
  n.o = "transformer.h.{}.attn.c_proj";
  n.up = "transformer.h.{}.mlp.c_fc";
  n.down = "transformer.h.{}.mlp.c_proj";
  return s;
}

}  // namespace lorikeet
