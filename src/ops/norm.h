#pragma once
#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// Normalisation over groups of `norm.w.cols` elements: the whole hidden state, or one head of it.
///
///   rms:    y = x * rstd * (w + weight_offset),  rstd = 1 / sqrt(mean(x^2) + eps)
///   layer:  y = (x - mean) * rstd * w + b,       rstd = 1 / sqrt(variance + eps)
///
/// x [N,C] -> y [N,C], rebuilt in backward; keeps rstd (and mean). weight_offset is 1 for Gemma, whose
/// checkpoints store w - 1. Sources: https://arxiv.org/abs/1910.07467, https://arxiv.org/abs/1607.06450
Var norm(Tape& t, Var x, const NormSlot& norm);

/// The same on plain rows, for the code after the last block. `stats` [M, norm_stats(norm)] may be empty if
/// no backward follows; x and y [M, norm.w.cols].
void norm_rows(const Stream& stream, const NormSlot& norm, TensorView y, TensorView stats, TensorView x);
/// dx (+)= the gradient, also of what learns in `norm`. dx may be dy; an empty dx is not wanted.
void norm_rows_backward(const Stream& stream, const NormSlot& norm, TensorView dx, TensorView dy,
                        TensorView x, TensorView stats, bool accumulate);
/// Statistics kept per row: rstd, and the mean of a layer norm.
int64_t norm_stats(const NormSlot& norm);

}  // namespace lorikeet
