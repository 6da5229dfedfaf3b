#pragma once
// The loop: steps, reports, evaluations and checkpoints of one run.
#include <chrono>
#include <memory>

#include "train/checkpoint.h"
#include "train/event_file.h"
#include "train/metrics_file.h"
#include "train/output_folder.h"
#include "train/run_lock.h"
#include "train/run_setup.h"

namespace lorikeet {

class TrainingRun {
 public:
  /// Loads the model and, from `start`, a checkpoint. `setup` and `events` must outlive the run; the folder
  /// is locked.
  TrainingRun(RunSetup& setup, const TrainerEvents& events, const std::atomic<bool>* stop,
              const StartPoint& start);

  RunResult run();

 private:
  using Clock = std::chrono::steady_clock;

  void resume(const std::string& checkpoint);
  void step();
  void check_finite(double loss, double norm);
  void check_values() const;
  void check_files() const;
  std::string last_good_state() const;
  StepReport report(double seconds) const;
  void log();
  void evaluate();
  void note_best(double loss);
  void save();
  RunResult finish();
  bool stopping() const { return stop_ && stop_->load(); }
  bool due(int64_t every) const {
    return state_.global_step == total_ || (every > 0 && state_.global_step % every == 0);
  }
  double session_seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  void notice(const std::string& text) const;

  RunSetup& setup_;
  const RunConfig& config_;
  const TrainerEvents& events_;
  const std::atomic<bool>* stop_;
  LoadedModel model_;
  Arena arena_;
  Stream stream_;
  Decoder decoder_;
  MacroBatch batch_;
  MicroBatchStorage eval_storage_;
  Schedule schedule_;
  RunIdentity identity_;
  RunState state_;
  std::unique_ptr<MetricsFile> metrics_;
  std::unique_ptr<EventFile> event_file_;
  const int64_t total_;

  Clock::time_point begin_;
  double seconds_before_ = 0;  ///< of earlier parts of the run
  int64_t resumed_at_ = 0;
  int64_t tokens_at_start_ = 0, window_tokens_ = 0;
  double window_seconds_ = 0, step_seconds_ = 0, all_step_seconds_ = 0;
  int64_t step_tokens_ = 0;
  double loss_ = 0, norm_ = 0, rate_ = 0;
  double last_logged_loss_ = 0;
  int64_t saved_at_ = -1;
  std::string last_checkpoint_;
  bool stopped_early_ = false;
};

}  // namespace lorikeet
