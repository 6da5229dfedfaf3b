// Qwen 3's mixtures of experts: Qwen 3 with experts in place of the MLP, in all layers or in some.
#include <algorithm>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec qwen3_moe_spec(const HfConfig& c) {
  ModelSpec s = qwen3_spec(c);
  s.num_key_value_heads = c.integer_or("num_key_value_heads", 4);
  s.num_local_experts =
      c.has("num_local_experts") ? c.integer("num_local_experts") : c.integer_or("num_experts", 128);
  s.num_experts_per_tok = c.integer_or("num_experts_per_tok", 8);
  s.moe_intermediate_size = c.integer_or("moe_intermediate_size", 768);
  s.norm_topk_prob = c.boolean_or("norm_topk_prob", false);
  const int64_t step = std::max<int64_t>(1, c.integer_or("decoder_sparse_step", 1));
  const std::vector<double> dense = c.numbers("mlp_only_layers");
  for (int64_t i = 0; i < layers_of(s); ++i)
    s.without_experts.push_back((i + 1) % step != 0 || std::count(dense.begin(), dense.end(), i) > 0);
  c.expect("use_sliding_window", false);  // it ignores max_window_layers, unlike Qwen 3's
  expect_no_router_loss(c);
  return s;
}

}  // namespace lorikeet
