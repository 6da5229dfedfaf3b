// SmolLM 3: Llama without rotary embedding in every fourth layer.
#include <algorithm>

#include "core/error.h"
#include "model/arch/families.h"

namespace lorikeet {

ModelSpec smollm3_spec(const HfConfig& c) {
  ModelSpec s = llama_spec(c);
  s.tie_word_embeddings = c.boolean_or("tie_word_embeddings", true);
  s.num_key_value_heads = c.integer_or("num_key_value_heads", 4);
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 32768);
  read_padding(c, s, 128004);
  c.expect("use_sliding_window", false);
  s.window = read_windows(c, s, read_window(c, 0), [](int64_t) { return false; });
  const int64_t interval = std::max<int64_t>(1, c.integer_or("no_rope_layer_interval", 4));
  const std::vector<double> turns = c.numbers("no_rope_layers");  // 1: the layer turns
  if (!turns.empty() && static_cast<int64_t>(turns.size()) != s.num_hidden_layers)
    throw Error(ErrorKind::format, fmt::format("{} entries for {} layers", turns.size(), s.num_hidden_layers),
                c.field("no_rope_layers"));
  for (int64_t i = 0; i < layers_of(s); ++i)
    s.without_rope.push_back(turns.empty() ? (i + 1) % interval == 0 : turns[static_cast<size_t>(i)] == 0);
  return s;
}

}  // namespace lorikeet
