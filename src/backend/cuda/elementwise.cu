// Ops that take elements one by one: add, cast, zero, logit_cap.
#include "backend/cuda/for_each.cuh"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

template <class T>
struct Add {
  Rows<T> y, a, b;
  float scale;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> u = load<n>(a.at(row, col)), v = load<n>(b.at(row, col));
    store(each<n>([&](int i) { return u.e[i] + scale * v.e[i]; }), y.at(row, col));
  }
};

template <class To, class From>
struct Cast {
  Rows<To> y;
  Rows<From> x;
  float scale;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> v = load<n>(x.at(row, col));
    store(each<n>([&](int i) { return scale * v.e[i]; }), y.at(row, col));
  }
};

struct LogitCap {
  Rows<float> y, x;
  float scale, softcap;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> v = load<n>(x.at(row, col));
    store(each<n>([&](int i) { return capped(v.e[i], scale, softcap); }), y.at(row, col));
  }
};

const char* reject(const AddArgs& a) { return reject_types({a.y, a.a, a.b}); }
void run(const AddArgs& a, const KernelContext& c) {
  with_compute_type(a.y.dtype, [&]<class T>(T) {
    const Add<T> body{Rows<T>(a.y), Rows<T>(a.a), Rows<T>(a.b), static_cast<float>(a.scale)};
    for_each_of<kWide<T>>(a.op_name, {a.y, a.a, a.b}, body, queue_of(c));
  });
}

const char* reject(const CastArgs& a) {
  return is_small_float(a.x.dtype) && is_small_float(a.y.dtype) ? nullptr
                                                                : "casts the 16- and 32-bit types only";
}
void run(const CastArgs& a, const KernelContext& c) {
  with_small_float(a.y.dtype, [&]<class To>(To) {
    with_small_float(a.x.dtype, [&]<class From>(From) {
      const Cast<To, From> body{Rows<To>(a.y), Rows<From>(a.x), static_cast<float>(a.scale)};
      for_each_of<std::max(kWide<To>, kWide<From>)>(a.op_name, {a.y, a.x}, body, queue_of(c));
    });
  });
}

const char* reject(const LogitCapArgs& a) {
  return a.x.dtype == DType::f32 && a.y.dtype == DType::f32 ? nullptr : "takes f32 logits only";
}
void run(const LogitCapArgs& a, const KernelContext& c) {
  const LogitCap body{Rows<float>(a.y), Rows<float>(a.x), static_cast<float>(a.scale),
                      static_cast<float>(a.softcap)};
  for_each_of<kWide<float>>(a.op_name, {a.y, a.x}, body, queue_of(c));
}

const char* reject(const ZeroArgs&) { return nullptr; }
/// All element types represent zero by zero bytes.
void run(const ZeroArgs& a, const KernelContext& c) {
  const size_t size = size_of(a.y.dtype), rows = static_cast<size_t>(a.y.rows),
               row_bytes = static_cast<size_t>(a.y.cols) * size;
  check(a.y.contiguous() ? cudaMemsetAsync(a.y.data, 0, rows * row_bytes, queue_of(c))
                         : cudaMemset2DAsync(a.y.data, static_cast<size_t>(a.y.stride) * size, 0, row_bytes,
                                             rows, queue_of(c)),
        a.op_name);
}

}  // namespace

template <>
std::span<const Kernel<AddArgs>> op_kernels() {
  static constexpr Kernel<AddArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<CastArgs>> op_kernels() {
  static constexpr Kernel<CastArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<LogitCapArgs>> op_kernels() {
  static constexpr Kernel<LogitCapArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<ZeroArgs>> op_kernels() {
  static constexpr Kernel<ZeroArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
