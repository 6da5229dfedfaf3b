#pragma once
#include <string>

namespace lorikeet {

/// Keeps a second run out of an output folder for as long as it lives; the system releases it if the process
/// dies.
class RunLock {
 public:
  /// Creates the folder if needed. Throws Error(resource) if another run holds it or it cannot be written.
  explicit RunLock(const std::string& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  static constexpr const char* kFileName = ".lorikeet.lock";

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace lorikeet
