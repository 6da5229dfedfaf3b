#pragma once
#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// Final norm and output matrix: everything after the last block.
struct HeadSlot {
  NormSlot norm;
  LinearGroup linear;  ///< one slot, without DoRA   [V,C]
  double logit_scale = 1, softcap = 0;
  LinearSlot& out() { return linear.slots[0]; }
  const LinearSlot& out() const { return linear.slots[0]; }
  int64_t vocab_size() const { return out().w.rows; }
};

/// What a pass over labelled positions adds up.
struct LossTotals {
  TensorView loss_sum;             ///< [1,1] sum type
  int64_t* correct = nullptr;      ///< optional: argmax hits
  double* token_losses = nullptr;  ///< optional: one loss per target, in order
};

/// Labelled positions whose logits exist at one time. Fixed, because the gradient of a learning head adds
/// chunk by chunk.
constexpr int64_t kLossChunk = 256;

/// Final norm, logits, cross-entropy and their gradients in one go, a chunk of labelled positions at a time:
/// the whole logits never exist, and positions without a label cost nothing.
///
/// x [N,C] last hidden state. dx [N,C] (optional) is set to grad_scale * d loss_sum / dx, and what learns in
/// the head gets its gradient. Adds to `totals`.
void linear_cross_entropy(const Stream& stream, const HeadSlot& head, TensorView x, TensorView dx,
                          const MicroBatch& batch, const DropoutKey& dropout, double grad_scale,
                          const LossTotals& totals);

/// Logits of the given rows of x: out[i] = head(norm(x[at[i]])), scaled and capped, f32 (or the reference
/// type).
void head_logits(const Stream& stream, const HeadSlot& head, TensorView x, std::span<const int32_t> at,
                 TensorView out);

}  // namespace lorikeet
