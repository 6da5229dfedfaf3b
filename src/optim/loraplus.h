#pragma once
#include "lora/trainable_store.h"

namespace lorikeet {

/// LoRA+ (Hayou et al. 2024): B matrices and vectors learn `ratio` times as fast as A and whole matrices, as
/// in PEFT's create_loraplus_optimizer.
void apply_loraplus(TrainableStore& store, double ratio);

}  // namespace lorikeet
