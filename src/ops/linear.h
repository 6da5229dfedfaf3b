#pragma once
#include <array>

#include "autograd/tape.h"
#include "ops/slots.h"

namespace lorikeet {

/// y_i = x W_i^T + bias_i + s_i B_i A_i dropout(x) for the slots of a group.   x [N,in] -> y_i [N,out_i]
///
/// A slot with DoRA scales its output (ops/dora.h). Saves the outputs and A x (rank values a token); with
/// DoRA, what is scaled in place of the output, with dropout beside it. Backward: one pass for dX over all
/// slots, dA stacked, dB, and dW and dbias where the base learns. With dropout each slot draws its own mask,
/// as PEFT does, and the masks are drawn again in backward.
std::array<Var, 3> linear_group(Tape& t, const LinearGroup& group, Var x, const Sequence& seq);

/// out = residual + linear(x), the sum in the product's epilogue, in f32, rounded once.
///
/// An empty `out` says that nobody will read the value (a block recorded again for its backward): the product
/// is skipped (DoRA's product is not: its backward reads it). The residual's gradient is that of the result,
/// in place.
Var linear_add(Tape& t, const LinearGroup& group, Var x, Var residual, TensorView out, const Sequence& seq);

}  // namespace lorikeet
