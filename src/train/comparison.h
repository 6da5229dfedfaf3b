#pragma once
// Several methods on the same data and seeds, side by side, and which of them this machine should use.
#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/json.h"
#include "lorikeet/trainer.h"

namespace lorikeet {

/// One run of the comparison, measured in a process of its own.
struct ComparedRun {
  Method method = Method::lora;
  uint64_t seed = 0;
  std::string base;     ///< how the base is held: "bfloat16", "nf4 + dq", ...
  std::string refused;  ///< why it could not run here; empty if it ran. Then only planned_bytes counts
  int64_t planned_bytes = 0, limit_bytes = 0, peak_bytes = 0;
  int64_t trainable = 0, result_bytes = 0;  ///< result_bytes: the file of the adapter or the model
  double tokens_per_second = 0;             ///< of the steps alone
  double eval_loss = 0;
  std::optional<double> exact_match;  ///< share; none for data without turns or completions
};
Json to_json(const ComparedRun& run);
/// Throws Error(format) naming the field.
ComparedRun parse_compared_run(const Json& json, const std::string& where);

/// Trains by `config` (its method, seed and output), then completes the held-out rows for exact match if
/// `max_new_tokens` is above 0. Lack of memory becomes `refused`. Throws Error(interrupted) after a stop;
/// else as Trainer.
ComparedRun run_compared(const RunConfig& config, int64_t max_new_tokens, const TrainerEvents& events,
                         const std::atomic<bool>* stop);

/// Mean and sample standard deviation over seeds; the deviation of one seed is 0.
struct Spread {
  double mean = 0, deviation = 0;
};
/// The runs of one method.
struct ComparedMethod {
  ComparedRun first;       ///< of its runs, for what does not depend on the seed
  int64_t peak_bytes = 0;  ///< the largest
  Spread tokens_per_second, eval_loss;
  std::optional<Spread> exact_match;
  size_t seeds = 0;
};
/// In the order in which the methods first occur.
std::vector<ComparedMethod> summarise(std::span<const ComparedRun> runs);

/// One or two sentences: of the methods whose eval loss is the lowest, within max(2 pooled standard
/// deviations, 0.01), the fastest; and what to take when memory must stay below its peak.
std::string recommendation(std::span<const ComparedMethod> methods);

}  // namespace lorikeet
