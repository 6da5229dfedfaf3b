// Mixtral: Llama with a mixture of experts in place of each MLP, optionally a sliding window.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec mixtral_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.num_key_value_heads = c.integer_or("num_key_value_heads", 8);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 131072);
  s.norm_eps = c.number_or("rms_norm_eps", 1e-5);
  s.window = read_windows(c, s, read_window(c, 0), [](int64_t) { return true; });
  read_rope(c, s, {1e6, 1});
  s.num_local_experts = c.integer_or("num_local_experts", 8);
  s.num_experts_per_tok = c.integer_or("num_experts_per_tok", 2);
  s.moe_intermediate_size = s.intermediate_size;
  s.norm_topk_prob = true;
  c.expect("router_jitter_noise", 0.0);
  expect_no_router_loss(c);
  const std::string block = "model.layers.{}.block_sparse_moe.";
  ModuleNames& n = s.names;
  n.router = block + "gate";
  n.expert_gate = block + "experts.{}.w1";
  n.expert_up = block + "experts.{}.w3";
  n.expert_down = block + "experts.{}.w2";
  return s;
}

}  // namespace lorikeet
