#pragma once
#include "backend/cpu/simd/table.h"

namespace lorikeet::simd {
namespace {

/// Scale of the 64 elements from `flat` on, a multiple of 64 in a matrix whose block size is one as well.
inline float bnb4_scale(const Codes& w, int64_t flat) {
  const int64_t b = flat >> w.block_shift;
  if (w.absmax) return w.absmax[b];
  return w.nested_code[w.absmax_codes[b]] * w.nested_absmax[b >> w.nested_shift] + w.nested_offset;
}

}  // namespace
}  // namespace lorikeet::simd
