#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace lorikeet {

/// The memory of one training step: two stacks in one region.
///
/// Saved tensors grow from the bottom, scratch from the top; both are rewound to marks. A dry arena has no
/// memory and only counts, so the same code that runs a step plans it to the byte. Allocations are 64-byte
/// aligned and named; a full arena throws Error(resource) with the name, the shape and the bytes that are
/// missing.
class Arena {
 public:
  static Arena dry() { return Arena(); }
  /// Reserves `capacity` bytes once. Throws Error(resource) if the system refuses.
  explicit Arena(size_t capacity);
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;

  TensorView bottom(Shape shape, DType dtype, const char* name);
  TensorView top(Shape shape, DType dtype, const char* name);
  /// Raw bytes at the top, e.g. a kernel's workspace; null on a dry arena.
  void* top_bytes(size_t bytes, const char* name);

  size_t bottom_mark() const { return bottom_; }
  size_t top_mark() const { return top_; }
  void rewind_bottom(size_t mark);
  void rewind_top(size_t mark);

  bool is_dry() const { return memory_ == nullptr; }
  size_t capacity() const { return capacity_; }
  size_t high_water() const { return high_water_; }
  /// Of the high water: the part that saved tensors held (the rest is scratch and kernel workspace).
  size_t saved_at_high_water() const { return saved_at_high_water_; }

  /// For tests: every allocation is filled with NaN, so a kernel that reads what it did not write is found.
  void fill_with_nan(bool on) { fill_with_nan_ = on; }

 private:
  Arena();
  size_t reserve(size_t bytes, const char* name);
  void* at(size_t offset, size_t bytes);
  void poison(size_t offset, size_t bytes);

  std::byte* memory_ = nullptr;
  size_t capacity_, bottom_ = 0, top_ = 0, high_water_ = 0, saved_at_high_water_ = 0;
  bool fill_with_nan_ = false;
};

}  // namespace lorikeet
