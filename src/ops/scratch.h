#pragma once
#include "backend/backend.h"

namespace lorikeet {

/// Memory at the top of a stream's arena that is given back at the end of a scope.
class Scratch {
 public:
  explicit Scratch(const Stream& s) : arena_(*s.arena), top_(s.arena->top_mark()) {}
  ~Scratch() { arena_.rewind_top(top_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  TensorView get(Shape shape, DType dtype, const char* name) { return arena_.top(shape, dtype, name); }
  void* bytes(size_t n, const char* name) { return arena_.top_bytes(n, name); }

 private:
  Arena& arena_;
  size_t top_;
};

}  // namespace lorikeet
