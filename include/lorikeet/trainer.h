#pragma once
// Fine-tuning from a program: give a Trainer a RunConfig, read what the run will need, run it.
//
//   lorikeet::RunConfig config;
//   config.model = "SmolLM2-135M-Instruct";
//   config.data = {"train.jsonl"};
//   config.output = "out";
//   lorikeet::Trainer trainer(config);
//   trainer.run();
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lorikeet/config.h"
#include "lorikeet/error.h"

namespace lorikeet {

/// What a run needs, in bytes, known before anything is allocated. The first five are exact for the largest
/// micro-batch that can occur, every position labelled.
struct MemoryPlan {
  int64_t weights_bytes = 0;     ///< the frozen base, mapped or held
  int64_t adapter_bytes = 0;     ///< what learns: masters, gradients, compute copies
  int64_t optimizer_bytes = 0;   ///< the optimizer's state
  int64_t activation_bytes = 0;  ///< the arena of a step
  int64_t workspace_bytes = 0;   ///< tokenized data, batches, rope tables
  int64_t process_bytes = 0;     ///< allowance for everything else in the process
  int64_t released_bytes = 0;    ///< of optimizer_bytes: what a paged optimizer gives back after each use,
                                 ///< where the limit leaves no room for all of it
  int64_t peak_bytes = 0;        ///< the sum, without released_bytes
  int64_t limit_bytes = 0;       ///< memory_limit, or what is free
  int64_t kept_blocks = 0, blocks = 0;
  int64_t largest_rows = 0, largest_tokens = 0;  ///< of a micro-batch
  double tokens_per_second = 0;                  ///< an estimate
  /// Peak and estimated speed for other numbers of kept blocks, most first.
  struct Choice {
    int64_t kept_blocks = 0, peak_bytes = 0;
    double tokens_per_second = 0;
  };
  std::vector<Choice> choices;
};

/// A stretch of a row's text that is, or is not, a target.
struct PreviewPiece {
  std::string text;
  bool target = false;
};

struct DataFacts {
  std::vector<std::string> files;
  std::string format;            ///< "messages", ...
  bool format_detected = false;  ///< found in the rows, not asked for
  int64_t rows = 0, tokens = 0, target_tokens = 0, longest = 0;
  int64_t rows_cut = 0, tokens_cut = 0, rows_dropped = 0;
  std::vector<PreviewPiece> first_row;
};

/// Everything about a run that is known before its first step.
struct RunFacts {
  std::string model_name, model_type, base_format;
  int64_t blocks = 0, parameters = 0;
  double base_bits_per_weight = 0;  ///< of the linear layers of the blocks
  bool model_quantized_in_file = false;
  int64_t adapted_modules = 0, trainable = 0;  ///< trainable: elements
  std::string compute_dtype;
  int threads = 0;
  DataFacts data;
  std::optional<DataFacts> eval_data;
  MemoryPlan memory;
  /// Rows of a micro-batch are sequences where packing is on.
  int64_t sequences = 0, steps_per_epoch = 0, steps_per_epoch_unpacked = 0, total_steps = 0;
  int64_t tokens_per_epoch = 0;
  int64_t warmup_steps = 0;
};

/// One optimizer step, or the mean of several between two reports.
struct StepReport {
  int64_t step = 0, total_steps = 0;
  double epoch = 0, loss = 0, grad_norm = 0, learning_rate = 0;
  int64_t tokens = 0;  ///< since the start of the run, interrupted parts included
  double tokens_per_second = 0, seconds = 0, seconds_left = 0;
  int64_t peak_bytes = 0;  ///< peak resident memory of the process
};

struct EvalReport {
  int64_t step = 0;
  double epoch = 0, loss = 0, perplexity = 0, token_accuracy = 0, seconds = 0;
  int64_t target_tokens = 0, examples = 0;
};

enum class RunOutcome { completed, already_complete, interrupted };

struct RunResult {
  RunOutcome outcome = RunOutcome::completed;
  std::string output;
  std::string last_checkpoint;           ///< empty if none was written
  int64_t steps = 0;                     ///< done in all
  int64_t resumed_at = 0;                ///< step this run continued from
  double first_loss = 0, last_loss = 0;  ///< of the first and the last report
  double seconds = 0, tokens_per_second = 0;
  double step_tokens_per_second = 0;  ///< of the steps alone, without evaluations and checkpoints
  int64_t peak_bytes = 0, adapter_file_bytes = 0;
  std::optional<double> eval_loss, best_eval_loss;
  bool stopped_early = false;
};

/// What a program may listen to. All are called from the thread that called run(); an exception ends the run,
/// the last checkpoint stays. Empty ones are skipped.
struct TrainerEvents {
  std::function<void(const StepReport&)> step;    ///< after every optimizer step
  std::function<void(const StepReport&)> logged;  ///< every logging_steps steps, and after the last
  std::function<void(const EvalReport&)> evaluated;
  std::function<void(const std::string& folder)> saved;  ///< a checkpoint
  std::function<void(const std::string& text)> notice;   ///< something worth a line
};

/// One fine-tuning run.
class Trainer {
 public:
  /// Opens the model, reads and tokenizes the data and plans the memory; writes nothing. `config` is
  /// validated and resolved (no "auto" is left but paths and threads).
  ///
  /// Throws Error: usage for contradictions, format for broken files or rows (file and line), unsupported for
  /// what is not built.
  explicit Trainer(RunConfig config);
  ~Trainer();
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;

  const RunFacts& facts() const;
  const RunConfig& config() const;  ///< resolved

  /// Trains and writes the output folder. When `*stop` becomes true the current step is finished, a
  /// checkpoint saved and `interrupted` returned.
  ///
  /// Throws Error: usage if the output folder holds something and neither overwrite nor
  /// resume_from_checkpoint is set, resource if the plan exceeds the limit or a disk is full, format for a
  /// checkpoint that is broken or of another run, and for a loss or gradient that is not finite (step and
  /// tensor named); checkpoints stay as they are.
  RunResult run(const TrainerEvents& events = {}, const std::atomic<bool>* stop = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lorikeet
