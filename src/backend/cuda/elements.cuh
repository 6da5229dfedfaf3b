#pragma once
// Elements in device memory: rows of them, and a few neighbours at a time as f32.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "core/tensor.h"

namespace lorikeet::cuda {

/// A matrix of T, or none.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;

  explicit Rows(const TensorView& v) : data(static_cast<T*>(v.data)), stride(v.stride) {}
  __device__ T* at(int64_t row, int64_t col = 0) const { return data + row * stride + col; }
  __device__ explicit operator bool() const { return data != nullptr; }
};

/// Elements of T in 16 bytes.
template <class T>
constexpr int kWide = 16 / static_cast<int>(sizeof(T));

/// n numbers in registers.
template <int n>
struct Values {
  float e[n];
};

/// n neighbours in memory.
template <class T, int n>
struct alignas(sizeof(T) * n % 16 == 0 ? 16 : alignof(T)) Pack {
  T e[n];
};

__device__ inline float to_f32(float x) { return x; }
__device__ inline float to_f32(Bf16 x) { return __uint_as_float(uint32_t{x.bits} << 16); }
__device__ inline float to_f32(F16 x) { return __half2float(__ushort_as_half(x.bits)); }
/// Both round to nearest even.
__device__ inline void from_f32(float x, float& to) { to = x; }
__device__ inline void from_f32(float x, Bf16& to) { to.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x)); }
__device__ inline void from_f32(float x, F16& to) { to.bits = __half_as_ushort(__float2half_rn(x)); }
/// The next elements of a type as 4 bytes.
__device__ inline uint32_t word(const float* x, float) { return __float_as_uint(x[0]); }
template <class T>
__device__ uint32_t word(const float* x, T) {
  T low, high;
  from_f32(x[0], low);
  from_f32(x[1], high);
  return low.bits | uint32_t{high.bits} << 16;
}

/// Both move 16 bytes at a time where n elements have as many, which then must lie on 16 bytes.
template <int n, class T>
__device__ Values<n> load(const T* from) {
  const auto pack = *reinterpret_cast<const Pack<T, n>*>(from);
  Values<n> v;
#pragma unroll
  for (int i = 0; i < n; ++i) v.e[i] = to_f32(pack.e[i]);
  return v;
}
template <int n, class T>
__device__ void store(const Values<n>& v, T* to) {
  if constexpr (sizeof(T) * n % 16 == 0) {
    constexpr int kStep = kWide<T>;
#pragma unroll
    for (int i = 0; i < n; i += kStep)  // explicitly at once: nvcc would take an assignment apart
      __stwb(reinterpret_cast<uint4*>(to + i),
             make_uint4(word(v.e + i, T{}), word(v.e + i + kStep / 4, T{}), word(v.e + i + kStep / 2, T{}),
                        word(v.e + i + kStep / 4 * 3, T{})));
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i) from_f32(v.e[i], to[i]);
  }
}

/// f(i) of each of n values.
template <int n, class F>
__device__ Values<n> each(const F& f) {
  Values<n> v;
#pragma unroll
  for (int i = 0; i < n; ++i) v.e[i] = f(i);
  return v;
}

/// to = v, or to += v.
template <int n, class T>
__device__ void store_or_add(const Values<n>& v, bool add, T* to) {
  if (!add) return store(v, to);
  const Values<n> before = load<n>(to);
  store(each<n>([&](int i) { return before.e[i] + v.e[i]; }), to);
}

/// A logit as LogitCapArgs and CrossEntropyArgs scale and cap it.
__device__ inline float capped(float z, float scale, float softcap) {
  z *= scale;
  return softcap > 0 ? softcap * tanhf(z / softcap) : z;
}

/// Whether each row of v begins where n elements may be moved at once and holds whole groups of n.
inline bool takes_groups(const TensorView& v, int64_t n) {
  const size_t bytes = std::min<size_t>(16, static_cast<size_t>(n) * size_of(v.dtype));
  return reinterpret_cast<uintptr_t>(v.data) % bytes == 0 && v.stride % n == 0 && v.cols % n == 0;
}
inline bool take_groups(std::initializer_list<TensorView> views, int64_t n) {
  return std::all_of(views.begin(), views.end(),
                     [n](const TensorView& v) { return !v || takes_groups(v, n); });
}

inline bool is_compute_type(DType d) { return d == DType::bf16 || d == DType::f32; }
inline bool is_small_float(DType d) { return is_compute_type(d) || d == DType::f16; }
constexpr const char* kOtherType = "computes in bf16 and f32 only";

/// Null, or that the views present are not all of one compute type.
inline const char* reject_types(std::initializer_list<TensorView> views) {
  const DType type = views.begin()->dtype;
  for (const TensorView& v : views)
    if (v && (v.dtype != type || !is_compute_type(type))) return kOtherType;
  return nullptr;
}

/// f(T{}) for the type of a view.
template <class F>
void with_compute_type(DType d, const F& f) {
  d == DType::bf16 ? f(Bf16{}) : f(float{});
}
template <class F>
void with_small_float(DType d, const F& f) {
  d == DType::f16 ? f(F16{}) : with_compute_type(d, f);
}

}  // namespace lorikeet::cuda
