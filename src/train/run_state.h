#pragma once
// What a run knows about itself beside its tensors: kept in trainer_state.json, in transformers' layout.
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"

namespace lorikeet {

struct RunState {
  int64_t global_step = 0, max_steps = 0;
  double epoch = 0;
  int64_t tokens_seen = 0;
  double seconds = 0;  ///< of training, over all parts of an interrupted run
  std::vector<Json> log_history;

  std::optional<double> best_loss;  ///< lowest eval loss
  int64_t best_step = 0;
  std::string best_checkpoint;
  int64_t evaluations_without_gain = 0;

  // Losses since the last report, so that a resumed run reports the same means.
  double window_loss = 0;
  int64_t window_steps = 0;
  double total_loss = 0;  ///< sum over all steps
  double first_loss = 0;  ///< first reported

  // Settings that stand in the file.
  int64_t logging_steps = 0, eval_steps = 0, save_steps = 0, train_batch_size = 0;
  double num_train_epochs = 0;
};

/// The file's text: transformers' fields, sorted, indent 2; what only Lorikeet needs stands in "lorikeet".
std::string to_text(const RunState& state);
/// Throws Error(format) naming the field.
RunState parse_run_state(const Json& json, const std::string& where);

}  // namespace lorikeet
