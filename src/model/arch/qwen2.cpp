// Qwen 1.5, 2 and 2.5: Llama with biases on query, key and value; optionally a window on the upper layers.
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec qwen2_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.qkv_bias = true;
  s.o_bias = false;
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 32768);
  const int64_t window = read_window(c, 4096), first = c.integer_or("max_window_layers", 28);
  if (c.boolean_or("use_sliding_window", false))
    s.window = read_windows(c, s, window, [first](int64_t layer) { return layer >= first; });
  else
    read_windows(c, s, 0, [](int64_t) { return false; });  // checks layer_types, which then say nothing
  return s;
}

}  // namespace lorikeet
