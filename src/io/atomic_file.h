#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lorikeet {

/// A file that appears complete or not at all: written under a temporary name in the same folder, then fsync,
/// rename, fsync of the folder. Removed again if it is destroyed before commit().
///
/// A path that names a symbolic link replaces what the link points to; a device or pipe is written in place.
/// Every failure (no space, file too large, read-only, ...) throws Error(resource) with the path, the
/// system's reason and the bytes. From the first AtomicFile on, the process ignores SIGXFSZ, so that a file
/// size limit is an error too.
class AtomicFile {
 public:
  /// Creates the temporary file. Throws Error(usage) if `path` is a folder or its folder does not exist.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  /// Writes at a fixed place, independent of append(); needs a regular file.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  /// Claims `bytes` of disk at once, so that a full disk is found before hours of work. No effect where the
  /// file system cannot.
  void reserve(uint64_t bytes);

  /// Hands everything to the system, so that written_path() can be read.
  void flush();
  /// Where the bytes lie until commit().
  const std::string& written_path() const { return temporary_.empty() ? target_ : temporary_; }

  uint64_t appended() const { return appended_; }
  const std::string& path() const { return path_; }
  void commit();

 private:
  void write_all(const std::byte* data, size_t size, int64_t offset);
  [[noreturn]] void fail(const char* action, int error_number, uint64_t bytes) const;
  void discard() noexcept;

  std::string path_, temporary_;  // temporary_ is empty for a device
  std::string target_;            // path_ with symbolic links resolved
  int fd_ = -1;
  uint64_t appended_ = 0;
  std::string buffer_;
};

/// Writes `content` to `path` atomically.
void write_file_atomic(const std::string& path, std::string_view content);

}  // namespace lorikeet
