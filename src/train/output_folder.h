#pragma once
// What a run leaves in its output folder.
#include <string>

#include "lorikeet/trainer.h"
#include "train/run_setup.h"

namespace lorikeet {

/// Where a run begins.
struct StartPoint {
  std::string checkpoint;            ///< empty: from the start
  bool complete = false;             ///< nothing is left to do
  std::vector<std::string> damaged;  ///< checkpoints passed over, with the reason
};

/// Decides by resume_from_checkpoint and what the folder holds. Throws Error(usage) if it holds something and
/// neither resuming nor overwriting is asked for.
StartPoint find_start(const RunConfig& config, int64_t total_steps);

/// Removes the files of an earlier run, and what a killed one left half-written.
void clear_output(const std::string& folder, bool remove_results);

/// Writes run.yaml. Throws Error(resource).
void write_run_yaml(const RunConfig& config);

/// Writes the adapter (or the whole model with method full), the model card and, last, trainer_state.json.
/// Returns the bytes of the weights.
uint64_t write_results(const RunSetup& setup, LoadedModel& model, const RunState& state,
                       const RunResult& result);

}  // namespace lorikeet
