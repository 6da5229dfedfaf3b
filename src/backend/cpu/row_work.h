#pragma once
// Shared by the element-wise ops: bytes of rows, and rows handed out in pieces.
#include <algorithm>

#include "backend/cpu/right_side.h"
#include "core/thread_pool.h"

namespace lorikeet::cpu {

inline int64_t row_bytes(const TensorView& v) { return v.stride * static_cast<int64_t>(size_of(v.dtype)); }
inline char* row_of(const TensorView& v, int64_t r) { return static_cast<char*>(v.data) + r * row_bytes(v); }
inline const simd::TypedOps& typed(const simd::Table& t, DType d) { return t.vector.typed[d == DType::bf16]; }

/// f(row) for every row, about 16 Ki elements an item: enough to hide the hand-off, little enough to share
/// evenly.
template <class F>
void for_each_row(ThreadPool& threads, int64_t rows, int64_t cols, const F& f) {
  const int64_t step = std::clamp<int64_t>((int64_t{16} << 10) / std::max<int64_t>(cols, 1), 1, 64);
  threads.for_each((rows + step - 1) / step, [&](int64_t item, int thread) {
    for (int64_t r = item * step; r < std::min(rows, (item + 1) * step); ++r) f(r, thread);
  });
}

}  // namespace lorikeet::cpu
