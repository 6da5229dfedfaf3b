#pragma once
// Element types. f64 and c128 exist for the reference backend: whole-model gradients by complex step run the
// same code in them.
#include <complex>
#include <cstddef>
#include <cstdint>

#include "core/half.h"

namespace lorikeet {

using Complex = std::complex<double>;

enum class DType : uint8_t { f32, bf16, f16, f64, c128 };

constexpr size_t size_of(DType d) {
  constexpr size_t bytes[] = {4, 2, 2, 8, 16};
  return bytes[static_cast<int>(d)];
}

constexpr const char* name_of(DType d) {
  constexpr const char* names[] = {"float32", "bfloat16", "float16", "float64", "complex128"};
  return names[static_cast<int>(d)];
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<Bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<F16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<Complex> {
  static constexpr DType value = DType::c128;
};

/// Type of statistics, gradients and optimizer state beside activations of type `d`: f32 for the 16- and
/// 32-bit types, else `d` itself.
constexpr DType stat_dtype(DType d) { return d == DType::f64 || d == DType::c128 ? d : DType::f32; }

/// Type in which a loss is summed: c128 stays, everything else sums in f64.
constexpr DType sum_dtype(DType d) { return d == DType::c128 ? DType::c128 : DType::f64; }

}  // namespace lorikeet
