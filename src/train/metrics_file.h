#pragma once
#include <string>

#include "lorikeet/trainer.h"

namespace lorikeet {

/// metrics.jsonl: one object per reported step.
class MetricsFile {
 public:
  /// Opens the file for appending; of an earlier part of the run the lines up to `resumed_at` stay (0: none),
  /// so that steps done again stand there once. Throws Error(resource).
  MetricsFile(const std::string& folder, int64_t resumed_at);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  void append(const StepReport& report);

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace lorikeet
