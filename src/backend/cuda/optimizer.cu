// AdamW and SGD on f32 masters, and the square sum of a gradient.
#include <cmath>

#include "backend/cuda/kernels.h"
#include "backend/cuda/total.cuh"

namespace lorikeet::cuda {

namespace {

/// Where element i of a matrix lies, counted row by row.
struct Flat {
  Rows<float> rows;
  int64_t cols;

  explicit Flat(const TensorView& v)
      : rows(v.contiguous() && v.rows > 0 ? v.reshaped(v.count()) : v),
        cols(v.contiguous() ? v.count() : v.cols) {}
  __device__ float* at(int64_t i) const { return i < cols ? rows.at(0, i) : rows.at(i / cols, i % cols); }
  bool takes_groups(int64_t first, int64_t n) const {
    return reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 && rows.stride % n == 0 && cols % n == 0 &&
           first % n == 0;
  }
};

/// The steps of torch.optim.AdamW, one rounding each: bits of the CPU.
struct AdamW {
  Flat p, g, m, v;
  int64_t first;  // element
  float step_size, root, decay, eps, beta2, one_minus_beta1, one_minus_beta2, grad_scale;

  template <int n>
  __device__ void run(int64_t, int64_t col) const {
    const int64_t at = first + col;
    const Values<n> p0 = load<n>(p.at(at)), g0 = load<n>(g.at(at)), m0 = load<n>(m.at(at)),
                    v0 = load<n>(v.at(at));
    const Values<n> grad = each<n>([&](int i) { return g0.e[i] * grad_scale; });
    const Values<n> m1 = each<n>([&](int i) { return m0.e[i] + one_minus_beta1 * (grad.e[i] - m0.e[i]); });
    const Values<n> v1 =
        each<n>([&](int i) { return v0.e[i] * beta2 + one_minus_beta2 * grad.e[i] * grad.e[i]; });
    store(m1, m.at(at));
    store(v1, v.at(at));
    store(each<n>(
              [&](int i) { return p0.e[i] * decay - step_size * (m1.e[i] / (sqrtf(v1.e[i]) / root + eps)); }),
          p.at(at));
  }
};

/// As the CPU's, bit for bit.
struct Sgd {
  Flat p, g;
  int64_t first;  // element
  float lr, decay, grad_scale;

  template <int n>
  __device__ void run(int64_t, int64_t col) const {
    const int64_t at = first + col;
    const Values<n> p0 = load<n>(p.at(at)), g0 = load<n>(g.at(at));
    store(each<n>([&](int i) { return p0.e[i] - lr * (g0.e[i] * grad_scale + decay * p0.e[i]); }), p.at(at));
  }
};

/// body over the elements of the blocks; `operands` are what it moves.
template <class Args, class Body>
void update_blocks(const Args& a, std::initializer_list<Flat> operands, Body body, const KernelContext& c) {
  constexpr int kGroup = kWide<float>;
  const int64_t first = a.blocks.first * kUpdateBlock,
                last = std::min(a.blocks.last * kUpdateBlock, a.p.count());
  if (first >= last) return;
  body.first = first;
  const bool groups = (last - first) % kGroup == 0 &&
                      std::all_of(operands.begin(), operands.end(),
                                  [&](const Flat& v) { return v.takes_groups(first, kGroup); });
  for_each<kGroup>(a.op_name, {1, last - first}, groups, body, queue_of(c));
}

template <class Args>
const char* reject_parameter(const Args& a) {
  return a.p.dtype == DType::f32 && a.g.dtype == DType::f32 ? nullptr : "updates f32 by f32 gradients only";
}

const char* reject(const AdamWArgs& a) {
  if (const char* why = reject_parameter(a)) return why;
  const bool state =
      a.m.dtype == DType::f32 && a.v.dtype == DType::f32 && a.m.contiguous() && a.v.contiguous();
  return state ? nullptr : "keeps contiguous f32 moments";
}
void run(const AdamWArgs& a, const KernelContext& c) {
  const AdamWSettings& s = a.settings;
  const auto step = static_cast<double>(s.t);
  const AdamW body{Flat(a.p),
                   Flat(a.g),
                   Flat(a.m),
                   Flat(a.v),
                   0,
                   static_cast<float>(s.lr / (1 - std::pow(s.beta1, step))),
                   static_cast<float>(std::sqrt(1 - std::pow(s.beta2, step))),
                   static_cast<float>(1 - s.lr * s.weight_decay),
                   static_cast<float>(s.eps),
                   static_cast<float>(s.beta2),
                   static_cast<float>(1 - s.beta1),
                   static_cast<float>(1 - s.beta2),
                   static_cast<float>(s.grad_scale)};
  update_blocks(a, {body.p, body.g, body.m, body.v}, body, c);
}

const char* reject(const SgdArgs& a) { return reject_parameter(a); }
void run(const SgdArgs& a, const KernelContext& c) {
  const Sgd body{Flat(a.p),
                 Flat(a.g),
                 0,
                 static_cast<float>(a.lr),
                 static_cast<float>(a.weight_decay),
                 static_cast<float>(a.grad_scale)};
  update_blocks(a, {body.p, body.g}, body, c);
}

constexpr int64_t kStretch = int64_t{16} << 10;  // elements summed by one block
int64_t stretches(int64_t n) { return (n + kStretch - 1) / kStretch; }
/// A gradient as few long rows.
TensorView long_rows(const TensorView& g) {
  return g.contiguous() && g.count() > 0 ? g.reshaped(g.count()) : g;
}

/// Row i of the work is a stretch of a row of g.
struct SquareSum {
  Rows<double> parts;
  Rows<const float> g;
  int64_t cols, per_row;

  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t item) const {
    const int64_t row = item / per_row, first = item % per_row * kStretch;
    double sum = 0;
    threads.template columns<n>(min(kStretch, cols - first), [&](int64_t c) {
      const Values<n> v = load<n>(g.at(row, first + c));
#pragma unroll
      for (int i = 0; i < n; ++i) sum += static_cast<double>(v.e[i]) * static_cast<double>(v.e[i]);
    });
    sum = threads.sum(sum);
    if (threads.index() == 0) *parts.at(item) = sum;
  }
};

const char* reject(const SquareSumArgs& a) {
  return a.g.dtype == DType::f32 && a.sum.dtype == DType::f64 ? nullptr : "sums f32 into f64 only";
}
int64_t parts_of(const SquareSumArgs& a) {
  const TensorView g = long_rows(a.g);
  return g.rows * stretches(g.cols);
}
size_t workspace_bytes(const SquareSumArgs& a, int) {
  return static_cast<size_t>(parts_of(a)) * sizeof(double);
}
void run(const SquareSumArgs& a, const KernelContext& c) {
  const TensorView g = long_rows(a.g), parts(c.workspace, {parts_of(a), 1}, DType::f64);
  if (parts.rows == 0) return;
  const SquareSum body{Rows<double>(parts), Rows<const float>(g), g.cols, stretches(g.cols)};
  for_each_row<kWide<float>>(a.op_name, parts.rows, std::min(kStretch, g.cols),
                             take_groups({g}, kWide<float>), body, queue_of(c));
  add_total(a.op_name, a.sum.as<double>(), Rows<double>(parts), parts.rows, queue_of(c));
}

}  // namespace

template <>
std::span<const Kernel<AdamWArgs>> op_kernels() {
  static constexpr Kernel<AdamWArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<SgdArgs>> op_kernels() {
  static constexpr Kernel<SgdArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<SquareSumArgs>> op_kernels() {
  static constexpr Kernel<SquareSumArgs> list[] = {{"cuda", reject, workspace_bytes, run}};
  return list;
}

}  // namespace lorikeet::cuda
