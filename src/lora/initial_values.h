#pragma once
#include <cstdint>

#include "lora/trainable_store.h"
#include "lorikeet/config.h"

namespace lorikeet {

/// Draws the factors of a new adapter, as PEFT's reset_lora_parameters and orthogonal_init do. Depends on the
/// seed and the tensors' names only.
///
///   standard    A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B zero
///   gaussian    A normal with standard deviation 1/r, B zero
///   orthogonal  A and B random with B A = 0: each is a normal matrix, over 10, times every other row of an
///               orthogonal [r,r]; the rank must be even
///
/// Adapters of an embedding start with A zero and B normal, whatever the others do.
void init_lora(TrainableStore& store, uint64_t seed, LoraInit init);

}  // namespace lorikeet
