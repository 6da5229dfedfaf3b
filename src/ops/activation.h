#pragma once
#include "autograd/tape.h"

namespace lorikeet {

/// y = activation(gate) * up, element by element; rebuilt in backward, whose gradients are written over gate
/// and up.
Var gated_activation(Tape& t, Var gate, Var up, Activation activation);

}  // namespace lorikeet
