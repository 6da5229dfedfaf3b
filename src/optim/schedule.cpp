#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lorikeet {

double Schedule::rate(int64_t step) const {
  const int64_t done = step - 1;  // transformers sets the rate after each step, starting with factor(0)
  if (kind_ == LrScheduler::constant) return learning_rate_;
  if (done < warmup_steps_)
    return learning_rate_ * static_cast<double>(done) /
           static_cast<double>(std::max<int64_t>(1, warmup_steps_));
  if (kind_ == LrScheduler::constant_with_warmup) return learning_rate_;
  const auto after = static_cast<double>(done - warmup_steps_);
  const auto length = static_cast<double>(std::max<int64_t>(1, total_steps_ - warmup_steps_));
  if (kind_ == LrScheduler::linear) return learning_rate_ * std::max(0.0, 1 - after / length);
  return learning_rate_ * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * after / length)));
}

int64_t Schedule::resolve_warmup(int64_t warmup_steps, double warmup_ratio, int64_t total_steps) {
  const int64_t n = warmup_steps > 0
                        ? warmup_steps
                        : static_cast<int64_t>(std::ceil(static_cast<double>(total_steps) * warmup_ratio));
  return std::clamp<int64_t>(n, 0, total_steps);
}

}  // namespace lorikeet
