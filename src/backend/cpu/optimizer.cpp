#include <cmath>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"

namespace lorikeet::cpu {

namespace {

constexpr int64_t kStretch = int64_t{16} << 10;  // elements summed or updated as one item

int64_t stretches(int64_t n) { return (n + kStretch - 1) / kStretch; }
bool all_f32(std::initializer_list<TensorView> views) {
  return std::all_of(views.begin(), views.end(), [](const TensorView& v) { return v.dtype == DType::f32; });
}

/// f(first, n, item) over the rows of contiguous or strided matrices: each row in stretches.
template <class F>
void for_each_stretch(ThreadPool& threads, const TensorView& v, const F& f) {
  const TensorView flat = v.contiguous() && v.count() > 0 ? v.reshaped(v.count()) : v;
  const int64_t per_row = stretches(flat.cols);
  threads.for_each(flat.rows * per_row, [&](int64_t item, int) {
    const int64_t row = item / per_row, first = item % per_row * kStretch;
    f(row * v.stride + first, std::min(kStretch, flat.cols - first), item);
  });
}

}  // namespace

const char* SquareSumOp::reject(const SquareSumArgs& a) {
  return a.g.dtype == DType::f32 && a.sum.dtype == DType::f64 ? nullptr : "sums f32 into f64 only";
}
size_t SquareSumOp::workspace_bytes(const simd::Table&, const SquareSumArgs& a, int) {
  return static_cast<size_t>(a.g.contiguous() ? stretches(a.g.count()) : a.g.rows * stretches(a.g.cols)) *
         sizeof(double);
}
void SquareSumOp::run(const simd::Table& t, const SquareSumArgs& a, const KernelContext& c) {
  auto* part = static_cast<double*>(c.workspace);
  const float* g = a.g.as<float>();
  for_each_stretch(c.threads, a.g,
                   [&](int64_t at, int64_t n, int64_t item) { part[item] = t.vector.square_sum(g + at, n); });
  const int64_t parts = static_cast<int64_t>(workspace_bytes(t, a, 1) / sizeof(double));
  double total = *a.sum.as<double>();
  for (int64_t i = 0; i < parts; ++i) total += part[i];
  *a.sum.as<double>() = total;
}

const char* AdamWOp::reject(const AdamWArgs& a) {
  if (!all_f32({a.p, a.g, a.m, a.v})) return "updates f32 only";
  const bool same = a.g.stride == a.p.stride && a.m.stride == a.p.stride && a.v.stride == a.p.stride;
  return same ? nullptr : "wants equal strides";
}
size_t AdamWOp::workspace_bytes(const simd::Table&, const AdamWArgs&, int) { return 0; }
void AdamWOp::run(const simd::Table& t, const AdamWArgs& a, const KernelContext& c) {
  const double step = static_cast<double>(a.t);
  simd::AdamW o{};
  o.step_size = static_cast<float>(a.lr / (1 - std::pow(a.beta1, step)));
  o.root = static_cast<float>(std::sqrt(1 - std::pow(a.beta2, step)));
  o.decay = static_cast<float>(1 - a.lr * a.weight_decay);
  o.eps = static_cast<float>(a.eps);
  o.beta2 = static_cast<float>(a.beta2);
  o.one_minus_beta1 = static_cast<float>(1 - a.beta1);
  o.one_minus_beta2 = static_cast<float>(1 - a.beta2);
  o.grad_scale = static_cast<float>(a.grad_scale);
  for_each_stretch(c.threads, a.p, [&](int64_t at, int64_t n, int64_t) {
    t.vector.adamw(o, a.p.as<float>() + at, a.g.as<float>() + at, a.m.as<float>() + at, a.v.as<float>() + at,
                   n);
  });
}

}  // namespace lorikeet::cpu
