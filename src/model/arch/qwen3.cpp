// Qwen 3: Qwen 2 without its biases, but with a norm over each head of query and key.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec qwen3_spec(const HfConfig& c) {
  ModelSpec s = qwen2_spec(c);
  s.qkv_bias = s.o_bias = c.boolean_or("attention_bias", false);
  s.qk_norm = QkNorm::per_head;
  return s;
}

}  // namespace lorikeet
