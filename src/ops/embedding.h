#pragma once
#include "backend/args.h"
#include "backend/backend.h"
#include "ops/slots.h"

namespace lorikeet {

/// y (+)= scale * (W[ids] + s A^T[ids] B^T)   (y [N,C]; ids [N] rows of the table)
void embedding_forward(const Stream& stream, const EmbeddingSlot& slot, std::span<const int32_t> ids,
                       TensorView y, bool accumulate);

/// Adds to the gradients of what learns in the slot. Look-ups of padding_idx give none, but for B's: their
/// rows of dy [N,C] are set to zero.
void embedding_backward(const Stream& stream, const EmbeddingSlot& slot, std::span<const int32_t> ids,
                        TensorView dy);

}  // namespace lorikeet
