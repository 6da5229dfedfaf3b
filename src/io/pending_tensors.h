#pragma once
#include <span>
#include <string>
#include <unordered_map>

#include "io/atomic_file.h"

namespace lorikeet {

/// Where the declared tensors of a file lie, and how far each of them is written.
class PendingTensors {
 public:
  /// `begin` counts from the end of the header. A name that was declared before is an internal error.
  void declare(const std::string& name, uint64_t begin, uint64_t bytes);
  /// Once the header's size is known, before the first write.
  void place_behind(uint64_t header_bytes);
  /// The tensor's next bytes; an unknown name or more bytes than declared are internal errors.
  void write(AtomicFile& file, const std::string& name, std::span<const std::byte> bytes);
  /// Commits the file. Throws Error(internal) if a tensor is incomplete.
  void commit(AtomicFile& file) const;

 private:
  struct Range {
    uint64_t next = 0, end = 0;
  };
  std::unordered_map<std::string, Range> ranges_;
};

}  // namespace lorikeet
