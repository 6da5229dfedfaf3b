#pragma once
// What GPTQ and AWQ share: scales and zeros per group of columns.
#include "core/half.h"
#include "quant/weight.h"

namespace lorikeet {

inline float group_scale(const Weight& w, int64_t group, int64_t row) {
  const int64_t at = group * w.rows + row;
  switch (w.grouped.scale_type) {
    case DType::f16:
      return to_float(static_cast<const F16*>(w.grouped.scales)[at]);
    case DType::bf16:
      return to_float(static_cast<const Bf16*>(w.grouped.scales)[at]);
    default:
      return static_cast<const float*>(w.grouped.scales)[at];
  }
}

}  // namespace lorikeet
