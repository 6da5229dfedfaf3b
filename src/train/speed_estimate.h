#pragma once
#include "train/loaded_model.h"

namespace lorikeet {

/// What one timed product says about this machine: multiply-adds per second times two, on all threads.
double measured_flops(ThreadPool& threads, DType compute, const ModelSpec& spec);

/// Tokens per second that training may reach, within a factor of two: arithmetic of the products at the
/// measured rate, less a share for everything else. `target_share` of the tokens reach the output head.
double estimated_tokens_per_second(double flops, const ModelSpec& spec, bool trains_base, int64_t kept_blocks,
                                   double target_share);

}  // namespace lorikeet
