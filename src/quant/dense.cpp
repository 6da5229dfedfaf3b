#include "quant/decoders.h"

namespace lorikeet {
namespace {

template <class T>
void widen(const T* in, int64_t step, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i, in += step) {
    if constexpr (std::is_arithmetic_v<T>) {
      out[i] = static_cast<float>(*in);
    } else {
      out[i] = to_float(*in);
    }
  }
}

}  // namespace

/// Elements as they are, converted to f32 (f64 is rounded).
void decode_dense(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  const int64_t step = w.transposed ? w.rows : 1, n = last - first;
  const int64_t at = w.transposed ? first * w.rows + stored_row : stored_row * w.cols + first;
  switch (w.dtype) {
    case DType::f32:
      return widen(static_cast<const float*>(w.data) + at, step, n, out);
    case DType::bf16:
      return widen(static_cast<const Bf16*>(w.data) + at, step, n, out);
    case DType::f16:
      return widen(static_cast<const F16*>(w.data) + at, step, n, out);
    case DType::f64:
      return widen(static_cast<const double*>(w.data) + at, step, n, out);
    case DType::c128:
      break;
  }
  throw_internal("a frozen weight is real", __FILE__, __LINE__);
}

}  // namespace lorikeet
