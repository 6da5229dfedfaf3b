#pragma once
#include <cstdint>

#include "lorikeet/config.h"

namespace lorikeet {

/// A learning rate over the steps of a run, as transformers.optimization computes it.
class Schedule {
 public:
  /// `warmup_steps` <= `total_steps`.
  Schedule(LrScheduler kind, double learning_rate, int64_t warmup_steps, int64_t total_steps)
      : kind_(kind), learning_rate_(learning_rate), warmup_steps_(warmup_steps), total_steps_(total_steps) {}

  /// Rate of optimizer step `step` >= 1. With warm-up, step 1 has rate 0.
  double rate(int64_t step) const;
  int64_t warmup_steps() const { return warmup_steps_; }

  /// transformers' rule: warmup_steps if it is set, else ceil(total_steps * warmup_ratio).
  static int64_t resolve_warmup(int64_t warmup_steps, double warmup_ratio, int64_t total_steps);

 private:
  LrScheduler kind_;
  double learning_rate_;
  int64_t warmup_steps_, total_steps_;
};

}  // namespace lorikeet
