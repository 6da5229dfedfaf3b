#pragma once
// What an op reads and what learns: plain views into the weight store and the trainable store.
#include <functional>
#include <vector>

#include "core/batch.h"
#include "core/tensor.h"
#include "quant/weight.h"

namespace lorikeet {

/// DoRA's part of a linear layer, all [1,out] in the stat type: the output without bias is scaled, row of W
/// by row of W, by m / |W + s B A|. The norm takes no part in the gradient. Empty without DoRA.
struct DoraSlot {
  TensorView scale, inverse_norm;
  TensorView dmagnitude;  ///< gradient of m
  explicit operator bool() const { return static_cast<bool>(scale); }
};

/// Some rows of a table or an output matrix that learn while its other rows are frozen (PEFT's
/// trainable_token_indices). Their values stand in the matrix itself. Empty: none.
struct LearningRows {
  std::span<const int32_t> ids;  ///< which rows of the matrix, each once
  TensorView grad;               ///< [ids,C] stat type
  explicit operator bool() const { return !ids.empty(); }
};

/// One linear layer: frozen (or learning) weight, optional bias, optional adapter.
struct LinearSlot {
  Weight w;                       ///< [out,in]
  TensorView bias;                ///< [1,out], optional; with the adapter's (lora_bias) their sum
  TensorView dw, dbias;           ///< gradients, only if the base matrix / a bias learns
  double dbias_scale = 1;         ///< of the bias that learns: s for the adapter's
  LearningRows rows;              ///< of the output matrix only
  TensorView lora_b;              ///< s*B [out,rank] in the compute type; empty without adapter
  TensorView dlora_b;             ///< [out,rank] gradient of B
  double lora_scale = 1;          ///< s
  int64_t rank_at = 0, rank = 0;  ///< rows of the group's stacked A that belong to this slot; padded to 16
  DoraSlot dora;                  ///< only beside lora_b
  uint64_t dropout_stream = 0;    ///< names the module in the dropout key
  bool learns() const {
    return static_cast<bool>(lora_b) || static_cast<bool>(dw) || static_cast<bool>(dbias) ||
           static_cast<bool>(rows);
  }
};

/// One to three linear layers that read the same X (q/k/v, gate/up; or a single one). Their A matrices are
/// stacked.
struct LinearGroup {
  LinearSlot slots[3];
  int count = 1;
  TensorView lora_a;   ///< [R,in] compute type, R = sum of padded ranks; empty if no slot has an adapter
  TensorView dlora_a;  ///< [R,in] gradient
  double dropout = 0;  ///< of the adapters' input
  bool learns() const {
    for (int i = 0; i < count; ++i)
      if (slots[i].learns()) return true;
    return false;
  }
};

/// One expert of a mixture, a frozen gated MLP.
struct ExpertSlot {
  Weight gate, up;  ///< [F,C]
  Weight down;      ///< [C,F]
};
/// A mixture of experts, or (without experts) none. All of it is frozen.
struct ExpertsSlot {
  Weight router;  ///< [E,C]
  std::vector<ExpertSlot> experts;
  int64_t top_k = 0;       ///< experts of a token
  bool normalize = false;  ///< the weights of a token's experts are divided by their sum
  explicit operator bool() const { return !experts.empty(); }
};

/// A table of vectors, one for each token or position, frozen or learning, with an optional adapter
/// (PEFT's lora_embedding_A and B).
struct EmbeddingSlot {
  Weight w;       ///< [V,C]
  TensorView dw;  ///< [V,C] gradient, only if the whole table learns
  LearningRows rows;
  TensorView lora_a, dlora_a;  ///< A^T [V,R] in the compute type, and its gradient; empty without adapter
  TensorView lora_b, dlora_b;  ///< s*B [C,R] in the compute type, and the gradient of B
  double lora_scale = 1;       ///< s
  double scale = 1;            ///< of the vectors
  int32_t padding_idx = -1;    ///< the row whose look-ups give no gradient, as in torch; -1: none
  explicit operator bool() const { return static_cast<bool>(w); }
  bool learns() const {
    return static_cast<bool>(dw) || static_cast<bool>(rows) || static_cast<bool>(lora_b);
  }
};

enum class NormKind : uint8_t { rms, layer };

/// A normalisation, or (without w) none.
struct NormSlot {
  TensorView w, b;    ///< [1,C]; b optional, of layer norms only
  TensorView dw, db;  ///< gradients, only if it learns
  NormKind kind = NormKind::rms;
  double eps = 0, weight_offset = 0;
  explicit operator bool() const { return static_cast<bool>(w); }
  bool learns() const { return static_cast<bool>(dw); }
};

/// Cosines and sines of one rotary embedding.   [rows, rotary_dim/2] f32
struct RopeTable {
  TensorView cos, sin;
};
/// Rotary embeddings that a model can mix (Gemma 3 has two).
constexpr size_t kRopes = 2;

/// Random draws of the current step (dropout, noise): which ones, and whether to draw at all (evaluation does
/// not).
struct DropoutKey {
  bool active = false;
  uint64_t seed = 0, step = 0;
  /// The stream of one use of randomness, named by `use`, in this step.
  uint64_t stream(uint64_t use) const { return use + step * 0x9E3779B97F4A7C15u; }
};

/// What a block needs to know about the micro-batch beside the activations.
struct KvCacheLayer {
  TensorView k, v;  ///< [slots * capacity, K*D]
};
/// Sees the input of every group of linear layers, on dry runs too. x [N,in]
using LinearObserver = std::function<void(const LinearGroup& group, const TensorView& x)>;
struct Sequence {
  const MicroBatch* batch = nullptr;
  RopeTable rope[kRopes];
  const int32_t* rope_at = nullptr;  ///< [N] row of the rope tables for each token
  std::span<const int32_t>
      cache_at;  ///< [N] row of the KV cache where each token's key goes; empty without cache
  std::span<const KvCacheLayer> cache;  ///< one per layer; empty without cache
  DropoutKey dropout;
  const LinearObserver* observer = nullptr;
};

}  // namespace lorikeet
