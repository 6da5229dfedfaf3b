#pragma once
#include "autograd/tape.h"

namespace lorikeet {

/// out = a + scale * b   [N,C]. An empty `out` says that nobody will read the value (a block recorded again
/// for its backward). The gradient of a is that of the result, in place.
Var add(Tape& t, Var a, Var b, double scale, TensorView out);

}  // namespace lorikeet
