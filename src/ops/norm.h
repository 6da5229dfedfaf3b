#pragma once
#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// Root-mean-square normalisation over groups of `norm.w.cols` elements: the whole hidden state, or one head
/// of it.
///
///   y = x * rstd * (w + weight_offset),   rstd = 1 / sqrt(mean(x^2) + eps)
///
/// x [N,C] -> y [N,C], rebuilt in backward; keeps rstd. weight_offset is 1 for Gemma, whose checkpoints store
/// w - 1. Source: https://arxiv.org/abs/1910.07467
Var rms_norm(Tape& t, Var x, const NormSlot& norm, double eps, double weight_offset);

}  // namespace lorikeet
