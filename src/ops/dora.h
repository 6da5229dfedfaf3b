#pragma once
#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// The kept product z of a slot with DoRA (Liu et al. 2024), and its output
///
///   z = d W^T + low (sB)^T      with d = dropout(x), or x where nothing is dropped
///   out = residual + bias + scale * z + (x - d) W^T
///
/// which is PEFT's: the part of x that is dropped passes the base alone. An empty `out` (nobody reads it, or
/// a recipe rebuilds it) skips the output.
TensorView dora_forward(Tape& t, const LinearSlot& s, TensorView x, TensorView low, TensorView residual,
                        TensorView out, const DropoutArgs* dropout);

/// Adds to the magnitude's gradient and sets dz = scale * dy; dz may be dy.
void dora_backward(const Stream& stream, const LinearSlot& s, TensorView dz, TensorView dy, TensorView z);

}  // namespace lorikeet
