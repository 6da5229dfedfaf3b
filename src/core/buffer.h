#pragma once
#include <cstddef>
#include <utility>

namespace lorikeet {

/// Zeroed, page-aligned memory with one owner. A dry buffer has a size and no memory, for planning.
class Buffer {
 public:
  Buffer() = default;
  /// Throws Error(resource), naming `what`, if the system refuses.
  Buffer(size_t bytes, const char* what, bool dry = false);
  /// Takes over memory that mmap gave.
  static Buffer adopt(std::byte* mapped, size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }  ///< null when dry or empty
  size_t size() const { return bytes_; }
  std::byte* at(size_t offset) const { return data_ ? data_ + offset : nullptr; }
  /// Takes the pages of [offset, offset + size) out of this process. Where a file holds the content (see
  /// io/paged_buffer.h) it is mapped again when touched; elsewhere it is lost.
  void release(size_t offset, size_t size) const;

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace lorikeet
