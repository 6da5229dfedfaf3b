#pragma once
#include <chrono>
#include <string>

#include "lorikeet/trainer.h"

namespace lorikeet::cli {

/// Shows a run on standard error: a bar that redraws itself on a terminal, else one plain line per report.
class Progress {
 public:
  /// `quiet` shows nothing.
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const StepReport& report);
  void logged(const StepReport& report);
  /// A line of its own, above the bar.
  void line(const std::string& text);
  void finish();

 private:
  bool quiet_, bar_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

/// Shows all that a run reports; `progress` must outlive the run.
TrainerEvents events_for(Progress& progress);

/// "step 120/375  loss 0.412  grad 0.83  lr 1.71e-4  1,066 tok/s  0.60 GiB  1:38 left"
std::string progress_line(const StepReport& report);
/// The same with a bar, in exactly `width` columns or fewer.
std::string progress_bar(const StepReport& report, int width, bool unicode);

}  // namespace lorikeet::cli
