#include "backend/cuda/column_sum.cuh"
#include "backend/cuda/kernels.h"
#include "backend/cuda/norm_weight.cuh"
#include "backend/cuda/row_work.cuh"

namespace lorikeet::cuda {

namespace {

constexpr int kRowThreads = 128;  // fewer to wait for each other in the two sums of a row

template <class T>
struct LayerNorm {
  Rows<T> y, x;
  Rows<float> stats;
  NormWeight w, b;
  float eps;
  int64_t cols;

  /// The squares are summed around the mean, as the reference does: where it is large, their sum less its
  /// square would cancel.
  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t row) const {
    float sum = 0, squares = 0;
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> v = load<n>(x.at(row, c));
#pragma unroll
      for (int i = 0; i < n; ++i) sum += v.e[i];
    });
    const float mean = threads.sum(sum) / static_cast<float>(cols);
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> v = load<n>(x.at(row, c));
#pragma unroll
      for (int i = 0; i < n; ++i) squares += (v.e[i] - mean) * (v.e[i] - mean);
    });
    const float rstd = 1 / sqrtf(threads.sum(squares) / static_cast<float>(cols) + eps);
    if (stats && threads.index() == 0) {
      *stats.at(row, 0) = mean;
      *stats.at(row, 1) = rstd;
    }
    threads.template columns<n>(cols, [&](int64_t c) {
      const Values<n> v = load<n>(x.at(row, c)), scale = w.template at<n>(c);
      Values<n> shift = {};
      if (b) shift = b.template at<n>(c);
      store(each<n>([&](int i) { return (v.e[i] - mean) * rstd * scale.e[i] + shift.e[i]; }), y.at(row, c));
    });
  }
};

template <class T>
struct LayerNormDx {
  Rows<T> dx, dy, x;
  Rows<float> stats;
  NormWeight w;
  bool accumulate;
  int64_t cols;

  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t row) const {
    const float mean = *stats.at(row, 0), rstd = *stats.at(row, 1);
    // f(c, gradients of the normed numbers, those numbers).
    const auto columns = [&](const auto& f) {
      threads.template columns<n>(cols, [&](int64_t c) {
        const Values<n> d = load<n>(dy.at(row, c)), v = load<n>(x.at(row, c)), scale = w.template at<n>(c);
        f(c, each<n>([&](int i) { return d.e[i] * scale.e[i]; }),
          each<n>([&](int i) { return (v.e[i] - mean) * rstd; }));
      });
    };
    float sum = 0, dot = 0;
    columns([&](int64_t, const Values<n>& g, const Values<n>& normed) {
#pragma unroll
      for (int i = 0; i < n; ++i) {
        sum += g.e[i];
        dot += g.e[i] * normed.e[i];
      }
    });
    const float mean_g = threads.sum(sum) / static_cast<float>(cols),
                mean_dot = threads.sum(dot) / static_cast<float>(cols);
    columns([&](int64_t c, const Values<n>& g, const Values<n>& normed) {
      store_or_add(each<n>([&](int i) { return rstd * (g.e[i] - mean_g - normed.e[i] * mean_dot); }),
                   accumulate, dx.at(row, c));
    });
  }
};

template <class T>
struct LayerNormDwTerm {
  Rows<T> dy, x;
  Rows<float> stats;

  template <int n>
  __device__ Values<n> at(int64_t row, int64_t col) const {
    const Values<n> d = load<n>(dy.at(row, col)), v = load<n>(x.at(row, col));
    const float mean = *stats.at(row, 0), rstd = *stats.at(row, 1);
    return each<n>([&](int i) { return d.e[i] * ((v.e[i] - mean) * rstd); });
  }
};

constexpr const char* kOtherStatistics = "statistics must be f32";

const char* reject(const LayerNormArgs& a) {
  if (const char* why = reject_types({a.x, a.y})) return why;
  if (a.stats && a.stats.dtype != DType::f32) return kOtherStatistics;
  return is_small_float(a.w.dtype) && (!a.b || is_small_float(a.b.dtype)) ? nullptr : kOtherType;
}
void run(const LayerNormArgs& a, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    const LayerNorm<T> body{Rows<T>(a.y),    Rows<T>(a.x),    Rows<float>(a.stats),
                            NormWeight(a.w), NormWeight(a.b), static_cast<float>(a.eps),
                            a.x.cols};
    for_each_row<kWide<T>, kRowThreads>(a.op_name, a.x.rows, a.x.cols,
                                        take_groups({a.x, a.y, a.w, a.b}, kWide<T>), body, queue_of(c));
  });
}

const char* reject(const LayerNormBwdArgs& a) {
  if (const char* why = reject_types({a.x, a.dy, a.dx})) return why;
  if (a.stats.dtype != DType::f32 || (a.dw && a.dw.dtype != DType::f32)) return kOtherStatistics;
  return is_small_float(a.w.dtype) ? nullptr : kOtherType;
}
size_t workspace_bytes(const LayerNormBwdArgs& a, int) { return a.dw ? column_sum_bytes(a.x.shape()) : 0; }
void run(const LayerNormBwdArgs& a, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    const Rows<T> dy(a.dy), x(a.x);
    const Rows<float> stats(a.stats);
    if (a.dw)  // before dx, which may overwrite dy
      sum_columns<kWide<T>>(a.op_name, a.dw, a.x.shape(), take_groups({a.dy, a.x}, kWide<T>),
                            LayerNormDwTerm<T>{dy, x, stats}, c.workspace, queue_of(c));
    if (!a.dx) return;
    const LayerNormDx<T> body{Rows<T>(a.dx), dy, x, stats, NormWeight(a.w), a.accumulate, a.x.cols};
    for_each_row<kWide<T>, kRowThreads>(a.op_name, a.x.rows, a.x.cols,
                                        take_groups({a.dx, a.dy, a.x, a.w}, kWide<T>), body, queue_of(c));
  });
}

}  // namespace

template <>
std::span<const Kernel<LayerNormArgs>> op_kernels() {
  static constexpr Kernel<LayerNormArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<LayerNormBwdArgs>> op_kernels() {
  static constexpr Kernel<LayerNormBwdArgs> list[] = {{"cuda", reject, workspace_bytes, run}};
  return list;
}

}  // namespace lorikeet::cuda
