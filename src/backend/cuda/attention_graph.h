#pragma once
// Causal attention over ragged rows as graphs that cuDNN's fused attention engines take. They know the graphs
// by their form, so the order and the kinds of the operations are not free; NVIDIA's cudnn-frontend has the
// form in which they are composed.
#include "backend/cuda/graph.h"

namespace lorikeet::cuda {

/// What a plan depends on. Strides are elements from token to token.
struct AttentionShape {
  enum class Pass : uint8_t {
    inference,         ///< o
    forward,           ///< o and lse
    backward,          ///< dq, dk, dv; sums dq by atomic additions, whose order is another in every run
    ordered_backward,  ///< the same in one order; keeps a bf16 number per pair of tokens for that
  };
  Pass pass = Pass::inference;
  int64_t rows = 0;                         ///< of the micro-batch
  int64_t most_queries = 0, most_keys = 0;  ///< of a row
  int64_t heads = 0, kv_heads = 0, dim = 0;
  float scale = 0;
  int32_t window = 0;      ///< 0: none
  bool more_keys = false;  ///< rows may have more keys than queries
  struct Strides {
    int64_t q = 0, k = 0, v = 0, o = 0, lse = 0, dout = 0, dq = 0, dk = 0, dv = 0;
    bool operator==(const Strides&) const = default;
  } strides;
  bool operator==(const AttentionShape&) const = default;
};

/// A tensor whose row b begins at `at`[b], elements.
struct RaggedTensor {
  TensorId tensor = 0, at = 0;
};

/// What must be bound, all in device memory: q, o, dout, dq bf16 [tokens, heads*dim]; k, v, dk, dv bf16
/// [keys, kv_heads*dim]; lse and delta f32 [tokens, heads], of one stride; `at` of each int64 [rows+1];
/// queries and keys int32 [rows]. Scratch: delta; dq_sum f32 like dq; dk_heads and dv_heads bf16, whose
/// strides and offsets are those of dk and dv times heads / kv_heads. Absent: 0.
struct AttentionTensors {
  RaggedTensor q, k, v, o, lse, dout, dq, dk, dv;
  TensorId queries = 0, keys = 0, delta = 0, dq_sum = 0, dk_heads = 0, dv_heads = 0;
};

struct AttentionGraph {
  Graph graph;
  AttentionTensors tensors;
};

/// o = softmax(scale q k^T under the causal mask) v, lse the logarithm of the softmax's denominator; or dq,
/// dk, dv from dout, with delta = sum(dout * o).
AttentionGraph attention_graph(const AttentionShape& s);

}  // namespace lorikeet::cuda
