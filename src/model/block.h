#pragma once
#include "autograd/tape.h"
#include "model/model.h"

namespace lorikeet {

/// One decoder block, the only description of it: forward, recording, recomputation, planning and cached
/// generation all run this function.   x [N,C] -> out [N,C]; an empty `out` (recomputation) skips the last
/// product.
Var decoder_block(Tape& t, const ModelSpec& spec, const BlockSlots& w, Var x, const Sequence& seq,
                  size_t layer, TensorView out);

}  // namespace lorikeet
