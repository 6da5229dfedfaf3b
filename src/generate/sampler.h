#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace lorikeet {

struct SamplingOptions {
  double temperature = 0;  ///< 0: the largest logit, the first of equal ones
  double top_p = 1;        ///< keep the most likely tokens that together reach this probability
  int64_t top_k = 0;       ///< keep this many of the most likely tokens; 0: all
  uint64_t seed = 42;
};

/// Throws Error(usage) naming the option that is out of range.
void validate(const SamplingOptions& options);

/// Chooses the next token. The draw depends on (seed, row, position) only, never on what else is in the
/// batch. Order of steps as in transformers: temperature, top_k, top_p, then a draw from the softmax of what
/// is left; of equal logits the smaller id counts as more likely.
///
/// `scratch` is reused between calls. Throws Error(format) if no logit is a finite number.
int32_t sample(std::span<const float> logits, const SamplingOptions& options, uint64_t row, uint64_t position,
               std::vector<int32_t>& scratch);

}  // namespace lorikeet
