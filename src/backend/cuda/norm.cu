// rms_norm and its backward.
#include "backend/cuda/column_sum.cuh"
#include "backend/cuda/kernels.h"
#include "backend/cuda/norm_weight.cuh"
#include "backend/cuda/row_work.cuh"

namespace lorikeet::cuda {

namespace {

template <class T>
struct RmsNorm {
  Rows<T> y, x;
  Rows<float> rstd;
  NormWeight w;
  float eps;
  int64_t cols;

  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t row) const {
    float squares = 0;
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> v = load<n>(x.at(row, c));
#pragma unroll
      for (int i = 0; i < n; ++i) squares += v.e[i] * v.e[i];
    });
    const float r = 1 / sqrtf(threads.sum(squares) / static_cast<float>(cols) + eps);
    if (rstd && threads.index() == 0) *rstd.at(row) = r;
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> v = load<n>(x.at(row, c)), scale = w.template at<n>(c);
      store(each<n>([&](int i) { return v.e[i] * r * scale.e[i]; }), y.at(row, c));
    });
  }
};

template <class T>
struct RmsNormDx {
  Rows<T> dx, dy, x;
  Rows<float> rstd;
  NormWeight w;
  bool accumulate;
  int64_t cols;

  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t row) const {
    const float r = *rstd.at(row);
    float dot = 0;
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> d = load<n>(dy.at(row, c)), v = load<n>(x.at(row, c)), scale = w.template at<n>(c);
#pragma unroll
      for (int i = 0; i < n; ++i) dot += d.e[i] * scale.e[i] * v.e[i];
    });
    const float shared = threads.sum(dot) * r * r * r / static_cast<float>(cols);
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> d = load<n>(dy.at(row, c)), v = load<n>(x.at(row, c)), scale = w.template at<n>(c);
      store_or_add(each<n>([&](int i) { return r * d.e[i] * scale.e[i] - v.e[i] * shared; }), accumulate,
                   dx.at(row, c));
    });
  }
};

template <class T>
struct RmsNormDwTerm {
  Rows<T> dy, x;
  Rows<float> rstd;

  template <int n>
  __device__ Values<n> at(int64_t row, int64_t col) const {
    const Values<n> d = load<n>(dy.at(row, col)), v = load<n>(x.at(row, col));
    const float r = *rstd.at(row);
    return each<n>([&](int i) { return d.e[i] * v.e[i] * r; });
  }
};

const char* reject(const RmsNormArgs& a) {
  if (const char* why = reject_types({a.x, a.y})) return why;
  if (a.rstd && a.rstd.dtype != DType::f32) return "statistics must be f32";
  return is_small_float(a.w.dtype) ? nullptr : kOtherType;
}
void run(const RmsNormArgs& a, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    const RmsNorm<T> body{Rows<T>(a.y),
                          Rows<T>(a.x),
                          Rows<float>(a.rstd),
                          NormWeight(a.w, a.weight_offset),
                          static_cast<float>(a.eps),
                          a.x.cols};
    for_each_row<kWide<T>>(a.op_name, a.x.rows, a.x.cols, take_groups({a.x, a.y, a.w}, kWide<T>), body,
                           queue_of(c));
  });
}

const char* reject(const RmsNormBwdArgs& a) {
  if (const char* why = reject_types({a.x, a.dy, a.dx})) return why;
  if (a.rstd.dtype != DType::f32 || (a.dw && a.dw.dtype != DType::f32)) return "statistics must be f32";
  return is_small_float(a.w.dtype) ? nullptr : kOtherType;
}
size_t workspace_bytes(const RmsNormBwdArgs& a, int) { return a.dw ? column_sum_bytes(a.x.shape()) : 0; }
void run(const RmsNormBwdArgs& a, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    const Rows<T> dy(a.dy), x(a.x);
    const Rows<float> rstd(a.rstd);
    if (a.dw)  // before dx, which may overwrite dy
      sum_columns<kWide<T>>(a.op_name, a.dw, a.x.shape(), take_groups({a.dy, a.x}, kWide<T>),
                            RmsNormDwTerm<T>{dy, x, rstd}, c.workspace, queue_of(c));
    if (!a.dx) return;
    const RmsNormDx<T> body{Rows<T>(a.dx), dy,      x, rstd, NormWeight(a.w, a.weight_offset),
                            a.accumulate,  a.x.cols};
    for_each_row<kWide<T>>(a.op_name, a.x.rows, a.x.cols, take_groups({a.dx, a.dy, a.x, a.w}, kWide<T>), body,
                           queue_of(c));
  });
}

}  // namespace

template <>
std::span<const Kernel<RmsNormArgs>> op_kernels() {
  static constexpr Kernel<RmsNormArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<RmsNormBwdArgs>> op_kernels() {
  static constexpr Kernel<RmsNormBwdArgs> list[] = {{"cuda", reject, workspace_bytes, run}};
  return list;
}

}  // namespace lorikeet::cuda
