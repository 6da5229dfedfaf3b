#pragma once
#include "autograd/tape.h"

namespace lorikeet {

// All of them are rebuilt in backward, whose gradients are written over their inputs.

/// y = activation(gate) * up, element by element.   [N,F] each
Var gated_activation(Tape& t, Var gate, Var up, Activation activation);
/// The same with gate and up side by side in one projection.   gate_up [N,2F] -> y [N,F]
Var gated_activation(Tape& t, Var gate_up, Activation activation);
/// y = activation(x)   [N,F]
Var activation(Tape& t, Var x, Activation activation);

}  // namespace lorikeet
