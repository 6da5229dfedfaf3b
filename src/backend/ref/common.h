#pragma once
// Portable kernels, templated on the element type: the definition of every op. They serve as the test oracle,
// as the last entry of the CPU lists, and, in double and complex<double>, as the reference backend whose
// complex-step gradients check all others. Written to be read, not to be fast.
#include <algorithm>
#include <cmath>

#include "backend/args.h"
#include "backend/backend.h"

namespace lorikeet::ref {

template <class T>
struct WideOf {
  using type = double;
};
template <>
struct WideOf<Complex> {
  using type = Complex;
};
/// Type of the arithmetic: double, or complex<double> for complex elements.
template <class T>
using Wide = typename WideOf<T>::type;

inline double real_part(double x) { return x; }
inline double real_part(const Complex& x) { return x.real(); }

inline double load(float x) { return static_cast<double>(x); }
inline double load(double x) { return x; }
inline double load(Bf16 x) { return static_cast<double>(to_float(x)); }
inline double load(F16 x) { return static_cast<double>(to_float(x)); }
inline Complex load(const Complex& x) { return x; }

template <class W>
void store(W x, float& y) {
  y = static_cast<float>(real_part(x));
}
template <class W>
void store(W x, double& y) {
  y = real_part(x);
}
template <class W>
void store(W x, Bf16& y) {
  y = to_bf16(static_cast<float>(real_part(x)));
}
template <class W>
void store(W x, F16& y) {
  y = to_f16(static_cast<float>(real_part(x)));
}
template <class W>
void store(W x, Complex& y) {
  y = x;
}

/// One element of a view of any type, for parameters whose type is not the kernel's.
template <class W>
W read(const TensorView& v, int64_t row, int64_t col) {
  switch (v.dtype) {
    case DType::f32:
      return W(load(v.row<float>(row)[col]));
    case DType::bf16:
      return W(load(v.row<Bf16>(row)[col]));
    case DType::f16:
      return W(load(v.row<F16>(row)[col]));
    case DType::f64:
      return W(load(v.row<double>(row)[col]));
    case DType::c128:
      if constexpr (std::is_same_v<W, Complex>)
        return v.row<Complex>(row)[col];
      else
        return v.row<Complex>(row)[col].real();
  }
  return W{};
}
template <class W>
void write(const TensorView& v, int64_t row, int64_t col, W x) {
  switch (v.dtype) {
    case DType::f32:
      return store(x, v.row<float>(row)[col]);
    case DType::bf16:
      return store(x, v.row<Bf16>(row)[col]);
    case DType::f16:
      return store(x, v.row<F16>(row)[col]);
    case DType::f64:
      return store(x, v.row<double>(row)[col]);
    case DType::c128:
      return store(x, v.row<Complex>(row)[col]);
  }
}

template <class T>
constexpr const char* reject_other_types(DType d) {
  return d == DTypeOf<T>::value ? nullptr : "another element type";
}

/// The rows [first, last) of fixed token chunks, for sums whose order may not depend on anything else.
template <class F>
void for_token_chunks(int64_t n, const F& f) {
  for (int64_t first = 0; first < n; first += kTokenChunk) f(first, std::min(n, first + kTokenChunk));
}

}  // namespace lorikeet::ref
