#pragma once
// Blocks of 64 queries and 64 keys, counted from the start of each row so that what else is in the batch
// cannot change a row's bits. Scores are kept transposed: rows are keys, lanes are queries, K is read in
// place.
#include <algorithm>
#include <cstring>

#include "backend/backend.h"
#include "backend/cpu/product.h"
#include "backend/cpu/row_work.h"
#include "core/batch.h"

namespace lorikeet::cpu {

constexpr int64_t kBlock = simd::kPanelColumns;
constexpr int64_t kTileBytes = kBlock * kBlock * 4;

inline int64_t blocks_of(int64_t n) { return (n + kBlock - 1) / kBlock; }
inline size_t aligned64(size_t bytes) { return (bytes + 63) / 64 * 64; }

/// Hands out pieces of a workspace; with a null base it only counts.
struct Carver {
  char* base;
  size_t used = 0;
  template <class T>
  T* take(int64_t bytes) {
    const size_t at = used;
    used += aligned64(static_cast<size_t>(bytes));
    return base ? reinterpret_cast<T*>(base + at) : nullptr;
  }
};

/// Rows of elements that the micro-kernel can read.
struct RowsView {
  const char* data;
  int64_t stride;  // bytes
  const char* row(int64_t i) const { return data + i * stride; }
};

/// Rows [first, first + n), columns [col, col + d): in place, or widened into scratch of n * d floats.
inline RowsView rows_of(const TensorView& v, int64_t first, int64_t n, int64_t col, int64_t d,
                        const simd::PanelOps& ops, char* scratch) {
  const char* at = row_of(v, first) + col * static_cast<int64_t>(size_of(v.dtype));
  if (ops.unit == 2 || v.dtype == DType::f32) return {at, row_bytes(v)};
  for (int64_t i = 0; i < n; ++i)
    ops.convert(element_of(v.dtype), at + i * row_bytes(v), d, scratch + i * d * 4);
  return {scratch, d * 4};
}

/// [d][64 keys] from [keys][d]; absent keys are zero, for their probability of zero may not meet a NaN.
inline void transpose_block(const simd::Table& t, const simd::PanelOps& ops, const RowsView& rows, int64_t n,
                            int64_t d, char* out) {
  const int64_t stride = kBlock * 4 / ops.unit;
  if (n < kBlock) std::memset(out, 0, static_cast<size_t>(d * stride));
  t.vector.transpose(4 / ops.unit, rows.data, rows.stride, n, d, out, stride);
}

/// Which keys of a block each lane sees, as block-relative bounds.
struct Visibility {
  float* low;
  float* high;
  /// Query at key position `position`, with or without a window, against the block of keys from `key` on.
  void set(int lane, int64_t position, int64_t window, int64_t key) const {
    high[lane] = static_cast<float>(position - key);
    low[lane] = window > 0 ? static_cast<float>(position - window + 1 - key) : 0.0f;
  }
};

/// Whether some query of positions [first, last] misses some key of [key, key + n).
inline bool partly_hidden(int64_t first, int64_t last, int64_t window, int64_t key, int64_t n) {
  return key + n - 1 > first || (window > 0 && key < last - window + 1);
}

inline const char* reject_attention(DType type, const Heads& heads) {
  if (!is_compute_type(type)) return "computes in bf16 and f32 only";
  return heads.dim % 2 ? "head_dim must be even" : nullptr;
}

}  // namespace lorikeet::cpu
