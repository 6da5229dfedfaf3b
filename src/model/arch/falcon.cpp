// Falcon 7B (attention and MLP side by side, one key head), 40B and 180B ("new decoder architecture": the
// queries of each key head, the key and the value together), and the serial kind. Falcon 3 is a Llama.
#include <algorithm>
#include <cmath>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec falcon_spec(const HfConfig& c) {
  ModelSpec s;
  s.model_type = c.string_or("model_type", "falcon");
  s.vocab_size = c.integer_or("vocab_size", 65024);
  s.hidden_size = c.integer("hidden_size");
  s.intermediate_size = c.integer_or("ffn_hidden_size", 4 * sane(s.hidden_size));
  s.num_hidden_layers = c.integer("num_hidden_layers");
  s.num_attention_heads = c.integer("num_attention_heads");
  s.head_dim = s.hidden_size / std::max<int64_t>(1, s.num_attention_heads);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 2048);
  const bool grouped = c.boolean_or("new_decoder_architecture", false),
             multi_query = c.boolean_or("multi_query", true), parallel = c.boolean_or("parallel_attn", true);
  const int64_t kv_heads = c.integer_or("num_kv_heads", s.num_attention_heads);
  s.num_key_value_heads = grouped ? kv_heads : multi_query ? 1 : s.num_attention_heads;
  s.qkv = grouped ? QkvLayout::per_group : multi_query ? QkvLayout::stacked : QkvLayout::per_head;
  s.residual = grouped || parallel ? Residual::parallel : Residual::serial;
  s.norm = NormKind::layer;
  s.norm_bias = true;
  s.norm_eps = c.number_or("layer_norm_epsilon", 1e-5);
  s.qkv_bias = s.o_bias = s.mlp_bias = c.boolean_or("bias", false);
  s.mlp = MlpKind::plain;
  s.activation = read_activation(c, "activation", "gelu");
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  s.attention_scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, s.head_dim)));
  c.expect("alibi", false);
  read_rope(c, s);
  const bool two_norms = c.integer_or("num_ln_in_parallel_attn", grouped ? 2 : 1) == 2;
  const std::string layer = "transformer.h.{}.";
  ModuleNames& n = s.names;
  n.embedding = "transformer.word_embeddings";
  n.final_norm = "transformer.ln_f";
  n.input_norm = layer + (grouped && two_norms ? "ln_attn" : "input_layernorm");
  n.mlp_norm = s.residual == Residual::serial ? layer + "post_attention_layernorm"
               : grouped && two_norms         ? layer + "ln_mlp"
                                              : "";
  n.qkv = layer + "self_attention.query_key_value";
  n.o = layer + "self_attention.dense";
  n.up = layer + "mlp.dense_h_to_4h";
  n.down = layer + "mlp.dense_4h_to_h";
  return s;
}

}  // namespace lorikeet
