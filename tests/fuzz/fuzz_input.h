#pragma once
// What the fuzz targets share: an input as a file that has no name, and which exceptions are answers.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace lorikeet::fuzz {

/// The input as a regular file in memory, for readers that map files.
class InputFile {
 public:
  InputFile(const uint8_t* data, size_t size) : descriptor_(memfd_create("input", 0)) {
    size_t done = 0;
    while (descriptor_ >= 0 && done < size) {
      const ssize_t n = write(descriptor_, data + done, size - done);
      if (n <= 0) std::abort();
      done += static_cast<size_t>(n);
    }
    if (descriptor_ < 0) std::abort();
  }
  ~InputFile() { close(descriptor_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// Runs `body`. An Error is an answer, unless it says that the bug is ours; any other exception is a finding.
template <class Body>
int answers(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) std::abort();
  }
  return 0;
}

}  // namespace lorikeet::fuzz
