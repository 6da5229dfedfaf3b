#pragma once
// One launch of cuDNN's attention, either direction.
#include <cuda_runtime_api.h>

#include "backend/args.h"
#include "backend/cuda/attention_graph.h"

namespace lorikeet::cuda {

/// What both directions hand over; the views of the other one are empty.
struct AttentionOperands {
  AttentionShape::Pass pass;
  TensorView q, k, v, o, lse, dout, dq, dk, dv, delta;
  std::span<const RowSpan> rows;
  Heads heads;
  double scale;
  int64_t window;

  explicit AttentionOperands(const AttentionArgs& a);
  AttentionOperands(const AttentionBwdArgs& a, bool ordered);
  int64_t group() const { return heads.q / heads.kv; }
};

/// The shape of the plan that takes these rows: their number and the longest of them are rounded up to few
/// values, since a plan takes long to make: tens of milliseconds, most of a second where cuDNN must compile
/// its kernel. Rows added that way are empty.
AttentionShape shape_of(const AttentionOperands& x);

/// Bytes of workspace of one launch. Makes the plan, which is kept.
size_t attention_workspace(const AttentionOperands& x);
/// Starts it on `queue`.
void run_attention(const AttentionOperands& x, void* workspace, cudaStream_t queue);

}  // namespace lorikeet::cuda
