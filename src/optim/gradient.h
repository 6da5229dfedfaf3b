#pragma once
// What is done with the gradients of a step before an optimizer uses them.
#include <string>

#include "lora/trainable_store.h"

namespace lorikeet {

/// Norm of all gradients of the store, summed in f64 over fixed chunks in parameter order.
double gradient_norm(const TrainableStore& store, const Stream& stream);

/// Name of the first tensor whose gradient holds a NaN or an infinity; empty if there is none.
std::string first_non_finite_gradient(const TrainableStore& store);

/// torch.nn.utils.clip_grad_norm_'s factor: max_norm / (norm + 1e-6), at most 1; 1 if max_norm is 0 (no
/// clipping).
double clip_factor(double norm, double max_norm);

}  // namespace lorikeet
