// Gemma 3, text only: Gemma 2 with a norm over each head of query and key instead of soft caps, five of six
// layers with a window, and a rotary embedding of their own for those.
#include <algorithm>

#include "model/arch/families.h"

namespace lorikeet {

ModelSpec gemma3_spec(const HfConfig& c) {
  ModelSpec s = gemma2_spec(c);
  s.qk_norm = QkNorm::per_head;
  s.max_position_embeddings = c.integer_or("max_position_embeddings", 131072);
  s.attention_softcap = c.number_or("attn_logit_softcapping", 0);
  s.logit_softcap = c.number_or("final_logit_softcapping", 0);
  const int64_t pattern = std::max<int64_t>(1, c.integer_or("sliding_window_pattern", 6));
  s.window = read_windows(c, s, read_window(c, 4096),
                          [pattern](int64_t layer) { return (layer + 1) % pattern != 0; });
  read_rope(c, s, {1e6, 1});
  if (!s.window_rope)
    s.window_rope =
        read_rope_fields(c, Json::object(), c.where(), s, {c.number_or("rope_local_base_freq", 1e4), 1});
  return s;
}

}  // namespace lorikeet
