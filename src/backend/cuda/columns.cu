// Sums and factors by column: column_sum, scale_columns.
#include "backend/cuda/column_sum.cuh"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

template <class T>
struct Term {
  Rows<T> dy;

  template <int n>
  __device__ Values<n> at(int64_t row, int64_t col) const {
    return load<n>(dy.at(row, col));
  }
};

template <class T>
struct ProductTerm {
  Rows<T> dy, x;

  template <int n>
  __device__ Values<n> at(int64_t row, int64_t col) const {
    const Values<n> d = load<n>(dy.at(row, col)), v = load<n>(x.at(row, col));
    return each<n>([&](int i) { return d.e[i] * v.e[i]; });
  }
};

template <class T>
struct ScaleColumns {
  Rows<T> y, x, residual;
  Rows<const float> scale, bias;
  float offset;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> v = load<n>(x.at(row, col)), s = load<n>(scale.at(0, col));
    Values<n> b = {}, r = {};
    if (bias) b = load<n>(bias.at(0, col));
    if (residual) r = load<n>(residual.at(row, col));
    store(each<n>([&](int i) { return v.e[i] * (s.e[i] + offset) + b.e[i] + r.e[i]; }), y.at(row, col));
  }
};

constexpr const char* kOtherFactor = "takes f32 factors only";
bool is_f32(const TensorView& v) { return !v || v.dtype == DType::f32; }

const char* reject(const ColumnSumArgs& a) {
  if (const char* why = reject_types({a.dy, a.x})) return why;
  return is_f32(a.db) && is_f32(a.weight) ? nullptr : kOtherFactor;
}
size_t workspace_bytes(const ColumnSumArgs& a, int) { return column_sum_bytes(a.dy.shape()); }
void run(const ColumnSumArgs& a, const KernelContext& c) {
  with_compute_type(a.dy.dtype, [&]<class T>(T) {
    const Rows<T> dy(a.dy), x(a.x);
    const auto sum = [&](const auto& term) {
      sum_columns<kWide<T>>(a.op_name, a.db, a.dy.shape(), take_groups({a.dy, a.x}, kWide<T>), term,
                            c.workspace, queue_of(c), a.weight);
    };
    a.x ? sum(ProductTerm<T>{dy, x}) : sum(Term<T>{dy});
  });
}

const char* reject(const ScaleColumnsArgs& a) {
  if (const char* why = reject_types({a.x, a.y, a.residual})) return why;
  return is_f32(a.scale) && is_f32(a.bias) ? nullptr : kOtherFactor;
}
void run(const ScaleColumnsArgs& a, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    const ScaleColumns<T> body{Rows<T>(a.y),
                               Rows<T>(a.x),
                               Rows<T>(a.residual),
                               Rows<const float>(a.scale),
                               Rows<const float>(a.bias),
                               static_cast<float>(a.offset)};
    for_each<kWide<T>>(a.op_name, a.x.shape(), take_groups({a.y, a.x, a.residual, a.scale, a.bias}, kWide<T>),
                       body, queue_of(c));
  });
}

}  // namespace

template <>
std::span<const Kernel<ColumnSumArgs>> op_kernels() {
  static constexpr Kernel<ColumnSumArgs> list[] = {{"cuda", reject, workspace_bytes, run}};
  return list;
}
template <>
std::span<const Kernel<ScaleColumnsArgs>> op_kernels() {
  static constexpr Kernel<ScaleColumnsArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
