#pragma once
#include "lora/trainable_store.h"

namespace lorikeet {

/// LoRA+ (Hayou et al. 2024) as in PEFT's create_loraplus_optimizer: B matrices and vectors learn `ratio`
/// times as fast as A and whole matrices; adapters of embeddings learn at a rate of their own, 1e-6 at the
/// peak (its loraplus_lr_embedding), while others learn at `learning_rate`.
void apply_loraplus(TrainableStore& store, double ratio, double learning_rate);

}  // namespace lorikeet
