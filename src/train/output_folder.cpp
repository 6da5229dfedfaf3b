#include "train/output_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "export/hf_folder.h"
#include "io/atomic_file.h"
#include "io/atomic_folder.h"
#include "io/folder.h"
#include "peft/adapter_files.h"
#include "quant/decode.h"
#include "train/model_card.h"
#include "train/run_lock.h"

namespace lorikeet {

namespace fs = std::filesystem;

namespace {

constexpr const char* kStateFile = "trainer_state.json";

std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (const std::string name = entry.path().filename().string(); name != RunLock::kFileName)
      names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

/// True if the folder's trainer_state.json, which is written last, says that a run of `total_steps` came to
/// its end.
bool is_complete(const std::string& folder, int64_t total_steps) {
  const std::string path = folder + "/" + kStateFile;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return false;
  const RunState state = parse_run_state(read_json_file(path, {.max_bytes = size_t{1} << 30}), path);
  return state.max_steps == total_steps || state.global_step >= total_steps;
}

bool is_temporary(const std::string& name) {
  return name.starts_with(".") && name.find(".tmp-") != std::string::npos;
}

/// Full fine-tuning: the masters as a Hugging Face folder. Its files move into the output one by one, weights
/// last.
uint64_t write_full_model(const RunSetup& setup, LoadedModel& model) {
  const DType dtype = setup.files.stored_dtype();
  AtomicFolder target(setup.config.output + "/.model", AtomicFolder::IfExists::replace);
  const TrainableStore& store = model.trainable();
  const RowReader rows = [&](const ExpectedTensor& tensor, int64_t first, int64_t last, float* out) {
    const NamedTensor* named = store.find(tensor.name);
    LORIKEET_CHECK(named);
    const TensorView v = store.value_of(*named);
    decode_rows(Weight::dense(v), first, last, 0, v.cols, out, v.cols);
  };
  const uint64_t bytes = write_hf_model(target.path(), setup.files, dtype, rows, model.threads());
  target.commit();
  std::vector<std::string> names = entries_of(target.target());
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) {
    return name.find(".safetensors") == std::string::npos;
  });
  for (const std::string& name : names) {
    std::error_code error;
    fs::rename(target.target() + "/" + name, setup.config.output + "/" + name, error);
    if (error)
      throw Error(ErrorKind::resource,
                  fmt::format("cannot move '{}' into the output folder: {}", name, error.message()),
                  setup.config.output);
  }
  remove_folder(target.target());
  return bytes;
}

}  // namespace

StartPoint find_start(const RunConfig& config, int64_t total_steps) {
  StartPoint start;
  if (!config.resume_from_checkpoint) {
    const std::vector<std::string> names = entries_of(config.output);
    if (!names.empty() && !config.overwrite)
      throw Error(ErrorKind::usage,
                  fmt::format("the output folder '{}' is not empty: it holds {}{}", config.output,
                              names.front(), names.size() > 1 ? ", ..." : ""),
                  "output", "choose another --output, or say --resume-from-checkpoint auto or --overwrite");
    return start;
  }
  if (*config.resume_from_checkpoint != "auto") {
    start.checkpoint = *config.resume_from_checkpoint;
    while (start.checkpoint.size() > 1 && start.checkpoint.back() == '/') start.checkpoint.pop_back();
    return start;
  }
  if (is_complete(config.output, total_steps)) {
    start.complete = true;
    return start;
  }
  if (const auto newest = newest_whole_checkpoint(config.output, start.damaged))
    start.checkpoint = newest->path;
  else if (!start.damaged.empty())
    throw Error(ErrorKind::format,
                fmt::format("all {} checkpoints of '{}' are damaged, the newest: {}", start.damaged.size(),
                            config.output, start.damaged.front()),
                config.output, "start anew with --overwrite instead of --resume-from-checkpoint auto");
  return start;
}

void clear_output(const std::string& folder, bool remove_results) {
  for (const std::string& name : entries_of(folder))
    if (is_temporary(name)) remove_folder(fmt::format("{}/{}", folder, name));
  if (!remove_results) return;
  for (const CheckpointPlace& c : list_checkpoints(folder)) remove_folder(c.path);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "README.md", "run.yaml",
                           kStateFile, "metrics.jsonl", "runs"})
    remove_folder(folder + "/" + std::string(name));
}

void write_run_yaml(const RunConfig& config) {
  write_file_atomic(config.output + "/run.yaml", to_yaml(config));
}

uint64_t write_results(const RunSetup& setup, LoadedModel& model, const RunState& state,
                       const RunResult& result) {
  const std::string& folder = setup.config.output;
  const uint64_t bytes = setup.config.method == Method::full
                             ? write_full_model(setup, model)
                             : write_adapter(folder, model.trainable(), *model.adapter());
  write_file_atomic(folder + "/README.md", model_card(setup.facts, setup.config, result));
  write_run_yaml(setup.config);
  write_file_atomic(folder + "/" + kStateFile, to_text(state));
  return bytes;
}

}  // namespace lorikeet
