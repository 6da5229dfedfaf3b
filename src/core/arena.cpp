#include "core/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#ifdef __SANITIZE_ADDRESS__  // g++
#define LORIKEET_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)  // clang
#define LORIKEET_ASAN
#endif
#endif
#ifdef LORIKEET_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

namespace lorikeet {

namespace {
constexpr size_t kAlignment = 64;
constexpr size_t round_up(size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }
}  // namespace

Arena::Arena() : capacity_(std::numeric_limits<size_t>::max() / 4) {}

Arena::Arena(size_t capacity) : capacity_(round_up(std::max<size_t>(capacity, kAlignment))) {
  void* p = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    throw Error(ErrorKind::resource,
                fmt::format("cannot reserve {} bytes for the step: {}", capacity_, errno_text(errno)),
                "step arena", "use smaller batches, or gradient_checkpointing: true");
  memory_ = static_cast<std::byte*>(p);
  ASAN_POISON_MEMORY_REGION(memory_, capacity_);
}

Arena::Arena(Arena&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      capacity_(other.capacity_),
      bottom_(other.bottom_),
      top_(other.top_),
      high_water_(other.high_water_),
      saved_at_high_water_(other.saved_at_high_water_),
      fill_with_nan_(other.fill_with_nan_) {}

Arena::~Arena() {
  if (!memory_) return;
  ASAN_UNPOISON_MEMORY_REGION(memory_, capacity_);
  munmap(memory_, capacity_);
}

size_t Arena::reserve(size_t bytes, const char* name) {
  const size_t n = round_up(bytes);
  if (n > capacity_ - top_ - bottom_)
    throw Error(ErrorKind::resource,
                fmt::format("the step arena of {} bytes is full: {} needs {} bytes, {} are left", capacity_,
                            name, n, capacity_ - top_ - bottom_),
                name, "use smaller batches, or gradient_checkpointing: true");
  if (bottom_ + top_ + n > high_water_) {
    high_water_ = bottom_ + top_ + n;
    saved_at_high_water_ = bottom_;
  }
  return n;
}

void* Arena::at(size_t offset, size_t bytes) {
  if (!memory_) return nullptr;
  ASAN_UNPOISON_MEMORY_REGION(memory_ + offset, bytes);
  if (fill_with_nan_) std::memset(memory_ + offset, 0xff, bytes);
  return memory_ + offset;
}

void Arena::poison(size_t offset, size_t bytes) {
  if (memory_) ASAN_POISON_MEMORY_REGION(memory_ + offset, bytes);
}

TensorView Arena::bottom(Shape shape, DType dtype, const char* name) {
  const size_t n = reserve(static_cast<size_t>(shape.count()) * size_of(dtype), name);
  bottom_ += n;
  return TensorView(at(bottom_ - n, n), shape, dtype);
}

void* Arena::top_bytes(size_t bytes, const char* name) {
  const size_t n = reserve(bytes, name);
  top_ += n;
  return at(capacity_ - top_, n);
}

TensorView Arena::top(Shape shape, DType dtype, const char* name) {
  return TensorView(top_bytes(static_cast<size_t>(shape.count()) * size_of(dtype), name), shape, dtype);
}

void Arena::rewind_bottom(size_t mark) {
  poison(mark, bottom_ - mark);
  bottom_ = mark;
}

void Arena::rewind_top(size_t mark) {
  poison(capacity_ - top_, top_ - mark);
  top_ = mark;
}

}  // namespace lorikeet
