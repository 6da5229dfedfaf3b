#pragma once
#include <string>

namespace lorikeet {

/// A folder that appears complete or not at all, e.g. a checkpoint: files are written into path() and the
/// folder is renamed at commit(). Removed with its content if destroyed before.
class AtomicFolder {
 public:
  enum class IfExists { refuse, replace };

  /// Throws Error(usage) for a target that the constructor would refuse: before long work.
  static void expect_free(const std::string& target, IfExists if_exists);

  /// Creates the temporary folder beside `target` (its parents too). An existing non-empty `target` is
  /// refused with Error(usage), or kept until commit() swaps it with the new one and deletes it.
  explicit AtomicFolder(std::string target, IfExists if_exists = IfExists::refuse);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write now.
  const std::string& path() const { return temporary_; }
  const std::string& target() const { return target_; }
  void commit();

 private:
  std::string target_, temporary_;
  IfExists if_exists_;
};

}  // namespace lorikeet
