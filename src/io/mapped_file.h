#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

struct stat;

namespace lorikeet {

/// A whole file mapped read-only. Pages are read when touched and can be handed back; several runs share one
/// copy.
///
/// Non-goals: writing, mapping a part, files that change while mapped (touching a page that was cut off ends
/// the process by SIGBUS; ask unchanged() at safe points).
class MappedFile {
 public:
  /// Maps the regular file at `path`. Throws Error(usage) if it does not exist or is a folder, Error(format)
  /// if it is empty, Error(resource) if the system refuses to open or map it.
  static MappedFile open(const std::string& path);

  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  /// Tells the kernel that the pages wholly inside [offset, offset + size) are not needed for now (they count
  /// as resident until then). Their content stays valid: it is read again when touched.
  void release(size_t offset, size_t size) const;
  /// Asks the kernel to start reading [offset, offset + size) in the background.
  void prefetch(size_t offset, size_t size) const;

  /// False if the file's size, modification time or identity is no longer what open() saw.
  bool unchanged() const;

 private:
  struct Identity {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t seconds = 0, nanoseconds = 0;
    bool operator==(const Identity&) const = default;
  };
  static Identity identity_of(const struct ::stat& info);

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  Identity identity_;
};

}  // namespace lorikeet
