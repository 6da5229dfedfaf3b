// Mistral 7B and its descendants: Llama with a sliding window over all layers (until version 0.1).
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec mistral_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.num_key_value_heads = c.integer_or("num_key_value_heads", 8);
  s.window = read_windows(c, s, read_window(c, 4096), [](int64_t) { return true; });
  return s;
}

}  // namespace lorikeet
