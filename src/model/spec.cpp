#include "model/spec.h"

#include <utility>

#include "core/error.h"

namespace lorikeet {

std::string layer_path(const std::string& pattern, int64_t layer) {
  const size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + 2);
}

int64_t ModelSpec::parameter_count() const {
  int64_t linear =
      hidden_size * (q_size() + 2 * kv_size()) + q_size() * hidden_size + 3 * hidden_size * intermediate_size;
  int64_t norms = 2 * hidden_size + (qk_norm == QkNorm::per_head ? 2 * head_dim : 0);
  int64_t biases = (qkv_bias ? q_size() + 2 * kv_size() : 0) + (o_bias ? hidden_size : 0) +
                   (mlp_bias ? 2 * intermediate_size + hidden_size : 0);
  return num_hidden_layers * (linear + norms + biases) +
         vocab_size * hidden_size * (tie_word_embeddings ? 1 : 2) + hidden_size;
}

void ModelSpec::validate() const {
  const auto refuse = [](const char* field, int64_t value, const char* why) {
    throw Error(ErrorKind::format, fmt::format("{} is {}, {}", field, value, why), "config.json",
                "the model's configuration is broken; download it again");
  };
  struct Limit {
    const char* field;
    int64_t value, most;
  };
  const Limit limits[] = {{"vocab_size", vocab_size, int64_t{1} << 24},
                          {"hidden_size", hidden_size, int64_t{1} << 20},
                          {"intermediate_size", intermediate_size, int64_t{1} << 22},
                          {"num_hidden_layers", num_hidden_layers, 4096},
                          {"num_attention_heads", num_attention_heads, 4096},
                          {"num_key_value_heads", num_key_value_heads, 4096},
                          {"head_dim", head_dim, 4096},
                          {"max_position_embeddings", max_position_embeddings, int64_t{1} << 30}};
  for (const Limit& l : limits)
    if (l.value < 1 || l.value > l.most) refuse(l.field, l.value, "which no model can have");
  if (num_attention_heads % num_key_value_heads != 0)
    refuse("num_key_value_heads", num_key_value_heads, "which does not divide num_attention_heads");
  if (rope.rotary_dim < 2 || rope.rotary_dim > head_dim || rope.rotary_dim % 2 != 0)
    refuse("rotary dimension", rope.rotary_dim, "which must be even and at most head_dim");
}

}  // namespace lorikeet
