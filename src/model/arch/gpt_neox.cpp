// GPT-NeoX and Pythia: layer norms, attention and MLP side by side, query, key and value of each head
// together in one projection, a rotary embedding of part of each head.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec gpt_neox_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.padding_idx = -1;  // its embedding is made without one
  s.norm = NormKind::layer;
  s.norm_bias = s.mlp_bias = true;
  s.qkv_bias = s.o_bias = c.boolean_or("attention_bias", true);
  s.norm_eps = c.number_or("layer_norm_eps", 1e-5);
  s.qkv = QkvLayout::per_head;
  s.mlp = MlpKind::plain;
  s.activation = read_activation(c, "hidden_act", "gelu");
  s.residual = c.boolean_or("use_parallel_residual", true) ? Residual::parallel : Residual::serial;
  read_rope(c, s, {c.number_or("rotary_emb_base", 10000), c.number_or("rotary_pct", 0.25)});
  ModuleNames& n = s.names;
  n.embedding = "gpt_neox.embed_in";
  n.final_norm = "gpt_neox.final_layer_norm";
  n.head = "embed_out";
  n.input_norm = "gpt_neox.layers.{}.input_layernorm";
  n.mlp_norm = "gpt_neox.layers.{}.post_attention_layernorm";
  n.qkv = "gpt_neox.layers.{}.attention.query_key_value";
  n.o = "gpt_neox.layers.{}.attention.dense";
  n.up = "gpt_neox.layers.{}.mlp.dense_h_to_4h";
  n.down = "gpt_neox.layers.{}.mlp.dense_4h_to_h";
  return s;
}

}  // namespace lorikeet
