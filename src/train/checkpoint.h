#pragma once
// checkpoint-<step>/: everything that a run needs to go on as if it had never stopped.
//
//   adapter_config.json, adapter_model.safetensors
//                                what has been learned so far, as PEFT reads it (not with method full)
//   training_state.safetensors   the optimizer's state, and with method full the weights as they are trained
//   trainer_state.json           step, position in the data, log
//   checkpoint.json              what the run was, and a checksum of every other file
//
// Random numbers need no state: all are functions of seed, step and place.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "optim/optimizer.h"
#include "peft/adapter_config.h"
#include "train/run_state.h"

namespace lorikeet {

/// Facts that must be equal when a run goes on; the value is text, the key stands in the error.
using RunIdentity = std::map<std::string, std::string>;

struct CheckpointPlace {
  int64_t step = 0;
  std::string path;
};

/// The checkpoint-<n> folders of `folder`, by step.
std::vector<CheckpointPlace> list_checkpoints(const std::string& folder);

/// Writes checkpoint-<step> into `folder`, all of it or nothing, replacing one of the same step. Returns its
/// path. Throws Error(resource).
std::string save_checkpoint(const std::string& folder, const RunState& state, const TrainableStore& store,
                            const Optimizer& optimizer, const std::optional<AdapterConfig>& adapter,
                            const RunIdentity& identity);

/// Deletes the oldest checkpoints until `limit` are left (0: all stay), but never `keep`.
void prune_checkpoints(const std::string& folder, int64_t limit, const std::string& keep);

/// Reads a checkpoint's state after checking every file's checksum. Throws Error(format) naming the file that
/// is missing or damaged, Error(usage) if `path` is no checkpoint.
RunState read_checkpoint_state(const std::string& path);

/// Throws Error(usage) naming what differs if the checkpoint is not of a run like `identity`.
void check_identity(const std::string& path, const RunIdentity& identity);

/// Fills the store's values and the optimizer's state. Throws Error(format) for missing or misshapen tensors.
void load_checkpoint_tensors(const std::string& path, TrainableStore& store, const Optimizer& optimizer);

/// Values only: the state of the best checkpoint at the end of a run.
void load_checkpoint_values(const std::string& path, TrainableStore& store);

/// The newest checkpoint of `folder` that is whole; damaged ones are named in `skipped`.
std::optional<CheckpointPlace> newest_whole_checkpoint(const std::string& folder,
                                                       std::vector<std::string>& skipped);

}  // namespace lorikeet
