#pragma once
// Every architectural choice of a decoder as an enum or a number, read from the Hugging Face config.json by
// one small file per family (model/arch). A new family is a new set of values; a new behaviour is one enum
// value and its branch in model/block.cpp.
#include <cstdint>
#include <string>
#include <vector>

#include "backend/args.h"

namespace lorikeet {

enum class QkNorm : uint8_t { none, per_head };  // per_head: Qwen 3

enum class RopeScaling : uint8_t { none, linear, llama3 };

struct RopeSpec {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position_embeddings = 0;
  int64_t rotary_dim = 0;  ///< elements of each head that turn
};

/// Module paths of a family, with {} for the layer number, e.g. "model.layers.{}.self_attn.q_proj".
struct ModuleNames {
  std::string embedding, final_norm, head;
  std::string input_norm, post_attention_norm, q_norm, k_norm;
  std::string q, k, v, o, gate, up, down;
};

struct ModelSpec {
  std::string architecture;  ///< e.g. "LlamaForCausalLM"
  std::string model_type;    ///< e.g. "llama"
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0, max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double norm_weight_offset = 0;
  QkNorm qk_norm = QkNorm::none;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  Activation activation = Activation::silu;
  bool tie_word_embeddings = false;
  double embedding_scale = 1, logit_scale = 1, logit_softcap = 0, attention_softcap = 0;
  double attention_scale = 0;   ///< of the scores
  std::vector<int64_t> window;  ///< per layer, 0 = unlimited; empty = unlimited everywhere
  RopeSpec rope;
  ModuleNames names;

  int64_t q_size() const { return num_attention_heads * head_dim; }
  int64_t kv_size() const { return num_key_value_heads * head_dim; }
  int64_t parameter_count() const;
  /// Refuses sizes that no kernel or file could hold, and combinations never tested. Throws Error naming
  /// field and value.
  void validate() const;
};

/// "model.layers.{}.mlp.up_proj" with the layer's number in place.
std::string layer_path(const std::string& pattern, int64_t layer);

}  // namespace lorikeet
