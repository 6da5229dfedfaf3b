#pragma once
// Every architectural choice of a decoder as an enum or a number, read from the Hugging Face config.json by
// one small file per family (model/arch). A new family is a new set of values; a new behaviour is one enum
// value and its branch in model/block.cpp.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/args.h"
#include "ops/slots.h"

namespace lorikeet {

enum class QkNorm : uint8_t { none, per_head, whole };  // per_head: Qwen 3; whole: OLMo 2, all heads as one

/// How attention and MLP meet: one after the other, or both on the block's input (GPT-NeoX, Falcon).
enum class Residual : uint8_t { serial, parallel };

/// The rows of the query, key and value projections: three matrices; one, with all q, all k, all v (Phi-3);
/// one, with q, k, v of each head together (GPT-NeoX); one, with the queries of each key head, its k and v
/// together (Falcon 40B).
enum class QkvLayout : uint8_t { separate, stacked, per_head, per_group };

/// down(act(gate) * up); the same with gate and up in one matrix (Phi-3); down(act(up)) (GPT-2).
enum class MlpKind : uint8_t { gated, gated_stacked, plain };

enum class RopeScaling : uint8_t { none, linear, dynamic, yarn, longrope, llama3 };

struct RopeSpec {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  double beta_fast = 32, beta_slow = 1;  ///< yarn
  bool truncate = true;                  ///< yarn
  double attention_factor = 1;           ///< multiplies cosine and sine
  int64_t original_max_position_embeddings = 0;
  std::vector<double> short_factor, long_factor;  ///< longrope, one per frequency
  int64_t rotary_dim = 0;                         ///< elements of each head that turn; 0: no rope
  bool interleaved = false;                       ///< pairs are neighbours (Cohere), not halves
  /// The frequencies depend on the length of the row, so there is no table for all rows.
  bool by_length() const { return scaling == RopeScaling::dynamic || scaling == RopeScaling::longrope; }
};

/// Module paths of a family, with {} for the layer number. The defaults are Llama's; a module whose path is
/// empty does not exist. The four norms stand before and after attention and MLP.
struct ModuleNames {
  std::string embedding = "model.embed_tokens", positions, final_norm = "model.norm", head = "lm_head";
  std::string input_norm = "model.layers.{}.input_layernorm", attention_out_norm,
              mlp_norm = "model.layers.{}.post_attention_layernorm", mlp_out_norm;
  std::string q_norm = "model.layers.{}.self_attn.q_norm", k_norm = "model.layers.{}.self_attn.k_norm";
  std::string q = "model.layers.{}.self_attn.q_proj", k = "model.layers.{}.self_attn.k_proj",
              v = "model.layers.{}.self_attn.v_proj", qkv = "model.layers.{}.self_attn.qkv_proj",
              o = "model.layers.{}.self_attn.o_proj";
  std::string gate = "model.layers.{}.mlp.gate_proj", up = "model.layers.{}.mlp.up_proj",
              gate_up = "model.layers.{}.mlp.gate_up_proj", down = "model.layers.{}.mlp.down_proj";
  std::string router = "model.layers.{}.mlp.gate";
  std::string expert_gate = "model.layers.{}.mlp.experts.{}.gate_proj",  // the second {}: the expert
      expert_up = "model.layers.{}.mlp.experts.{}.up_proj",
              expert_down = "model.layers.{}.mlp.experts.{}.down_proj";
};

struct ModelSpec {
  std::string architecture;  ///< e.g. "LlamaForCausalLM"
  std::string model_type;    ///< e.g. "llama"
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0, max_position_embeddings = 0;
  NormKind norm = NormKind::rms;
  double norm_eps = 1e-6, norm_weight_offset = 0;
  bool norm_bias = false;  ///< of layer norms
  QkNorm qk_norm = QkNorm::none;
  Residual residual = Residual::serial;
  QkvLayout qkv = QkvLayout::separate;
  MlpKind mlp = MlpKind::gated;
  bool qkv_bias = false, o_bias = false, mlp_bias = false, head_bias = false;
  Activation activation = Activation::silu;
  bool tie_word_embeddings = false;
  bool conv1d = false;  ///< linear weights are stored [in,out] (GPT-2)
  double embedding_scale = 1;
  /// The embedding module itself multiplies, by the scale rounded to its type (Gemma); else what comes out of
  /// it is multiplied (Granite), NEFTune's noise included.
  bool embedding_scales_itself = false;
  int64_t padding_idx = -1;  ///< the token whose look-ups leave the embedding without a gradient; -1: none
  double residual_scale = 1, logit_scale = 1, logit_softcap = 0, attention_softcap = 0;
  double attention_scale = 0;      ///< of the scores
  int64_t positions_offset = 0;    ///< learned positions: row of the first one
  std::vector<int64_t> window;     ///< per layer, 0 = unlimited; empty = unlimited everywhere
  std::vector<bool> without_rope;  ///< per layer (SmolLM 3); empty: none
  // Mixtures of experts; without experts every MLP is dense. Experts are gated and have no biases.
  int64_t num_local_experts = 0, num_experts_per_tok = 0, moe_intermediate_size = 0;
  bool norm_topk_prob = false;        ///< the weights of a token's experts are divided by their sum
  std::vector<bool> without_experts;  ///< per layer; empty: none
  RopeSpec rope;
  std::optional<RopeSpec> window_rope;  ///< of the layers with a window, where they turn otherwise (Gemma 3)
  ModuleNames names;

  int64_t q_size() const { return num_attention_heads * head_dim; }
  int64_t kv_size() const { return num_key_value_heads * head_dim; }
  int64_t window_of(int64_t layer) const { return window.empty() ? 0 : window[static_cast<size_t>(layer)]; }
  bool turns(int64_t layer) const {
    return rope.rotary_dim > 0 && (without_rope.empty() || !without_rope[static_cast<size_t>(layer)]);
  }
  bool has_experts(int64_t layer) const {
    return num_local_experts > 0 && (without_experts.empty() || !without_experts[static_cast<size_t>(layer)]);
  }
  /// Elements of the MLP's matrices that a token meets.
  int64_t mlp_elements(int64_t layer) const {
    const int64_t inner =
        has_experts(layer) ? num_experts_per_tok * moe_intermediate_size : intermediate_size;
    return hidden_size * inner * (mlp == MlpKind::plain ? 2 : 3);
  }
  /// Refuses sizes that no kernel or file could hold, and combinations never tested. Throws Error naming
  /// field and value.
  void validate() const;
};

/// "model.layers.{}.mlp.up_proj" with the layer's number in place.
std::string layer_path(const std::string& pattern, int64_t layer);
/// "model.layers.{}.mlp.experts.{}.up_proj" with both numbers in place.
std::string expert_path(const std::string& pattern, int64_t layer, int64_t expert);

}  // namespace lorikeet
