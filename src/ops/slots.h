#pragma once
// What an op reads and what learns: plain views into the weight store and the trainable store.
#include "core/batch.h"
#include "core/tensor.h"
#include "quant/weight.h"

namespace lorikeet {

/// One linear layer: frozen (or learning) weight, optional bias, optional adapter.
struct LinearSlot {
  Weight w;                       ///< [out,in]
  TensorView bias;                ///< [1,out], optional
  TensorView dw, dbias;           ///< gradients, only if the base matrix / bias learns
  TensorView lora_b;              ///< s*B [out,rank] in the compute type; empty without adapter
  TensorView dlora_b;             ///< [out,rank] gradient of B
  double lora_scale = 1;          ///< s
  int64_t rank_at = 0, rank = 0;  ///< rows of the group's stacked A that belong to this slot; padded to 16
  uint64_t dropout_stream = 0;    ///< names the module in the dropout key
  bool learns() const {
    return static_cast<bool>(lora_b) || static_cast<bool>(dw) || static_cast<bool>(dbias);
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

struct NormSlot {
  TensorView w;   ///< [1,C]
  TensorView dw;  ///< gradient, only if it learns
  bool learns() const { return static_cast<bool>(dw); }
};

/// Dropout of the current step: which draw, and whether to draw at all (evaluation does not).
struct DropoutKey {
  bool active = false;
  uint64_t seed = 0, step = 0;
};

/// What a block needs to know about the micro-batch beside the activations.
struct KvCacheLayer {
  TensorView k, v;  ///< [slots * capacity, K*D]
};
struct Sequence {
  const MicroBatch* batch = nullptr;
  TensorView cos, sin;  ///< rope tables [positions, rotary_dim/2] f32
  std::span<const int32_t>
      cache_at;  ///< [N] row of the KV cache where each token's key goes; empty without cache
  std::span<const KvCacheLayer> cache;  ///< one per layer; empty without cache
  DropoutKey dropout;
};

}  // namespace lorikeet
