#pragma once
#include "lora/trainable_store.h"
#include "lorikeet/config.h"

namespace lorikeet {

/// Settings of AdamW; decoupled weight decay as in torch.optim.AdamW, on matrices only.
struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
};

/// Norm of all gradients of the store, summed in f64 over fixed chunks in parameter order.
double gradient_norm(const TrainableStore& store, const Stream& stream);

/// Name of the first tensor whose gradient holds a NaN or an infinity; empty if there is none.
std::string first_non_finite_gradient(const TrainableStore& store);

/// torch.nn.utils.clip_grad_norm_'s factor: max_norm / (norm + 1e-6), at most 1; 1 if max_norm is 0 (no
/// clipping).
double clip_factor(double norm, double max_norm);

/// One AdamW step (t >= 1) of every parameter with gradient * `grad_scale` and rate `learning_rate` times its
/// rate_factor, then refreshes the compute copies.
void adamw_step(TrainableStore& store, const Stream& stream, const AdamWOptions& options,
                double learning_rate, double grad_scale, int64_t t);

}  // namespace lorikeet
