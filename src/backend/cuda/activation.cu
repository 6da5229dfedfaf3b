#include "backend/cuda/for_each.cuh"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

struct ActivationValue {
  float value, slope;
};
/// Value and derivative, as ref/elementwise.h defines them; what is not used of the result costs nothing.
template <Activation kKind>
__device__ ActivationValue activate(float x) {
  if constexpr (kKind == Activation::silu) {
    const float s = 1 / (1 + expf(-x));
    return {x * s, s * (1 + x * (1 - s))};
  } else if constexpr (kKind == Activation::gelu_tanh) {
    constexpr float k = 0.7978845608028654f, c = 0.044715f;  // sqrt(2 / pi)
    const float t = tanhf(k * (x + c * x * x * x)), cdf = 0.5f * (1 + t);
    return {x * cdf, cdf + 0.5f * x * (1 - t * t) * k * (1 + 3 * c * x * x)};
  } else if constexpr (kKind == Activation::gelu) {
    const float cdf = 0.5f * (1 + erff(x * 0.7071067811865476f));     // sqrt(1 / 2)
    const float density = 0.3989422804014327f * expf(-0.5f * x * x);  // 1 / sqrt(2 pi)
    return {x * cdf, cdf + x * density};
  } else {
    return x > 0 ? ActivationValue{x, 1} : ActivationValue{0, 0};
  }
}

/// f of a template parameter for each Activation.
template <class F>
void with_activation(Activation kind, const F& f) {
  switch (kind) {
    case Activation::silu:
      return f.template operator()<Activation::silu>();
    case Activation::gelu_tanh:
      return f.template operator()<Activation::gelu_tanh>();
    case Activation::gelu:
      return f.template operator()<Activation::gelu>();
    case Activation::relu:
      return f.template operator()<Activation::relu>();
  }
}

template <class T, Activation kKind>
struct Gate {
  Rows<T> y, gate, up;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> g = load<n>(gate.at(row, col));
    Values<n> out;
    if (up) {
      const Values<n> u = load<n>(up.at(row, col));
      out = each<n>([&](int i) { return activate<kKind>(g.e[i]).value * u.e[i]; });
    } else {
      out = each<n>([&](int i) { return activate<kKind>(g.e[i]).value; });
    }
    store(out, y.at(row, col));
  }
};

template <class T, Activation kKind>
struct GateBwd {
  Rows<T> dgate, dup, dy, gate, up;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> g = load<n>(gate.at(row, col)), d = load<n>(dy.at(row, col));
    Values<n> dg = d;
    if (up) {
      const Values<n> u = load<n>(up.at(row, col));
      dg = each<n>([&](int i) { return d.e[i] * u.e[i]; });
      store(each<n>([&](int i) { return d.e[i] * activate<kKind>(g.e[i]).value; }), dup.at(row, col));
    }
    store(each<n>([&](int i) { return dg.e[i] * activate<kKind>(g.e[i]).slope; }), dgate.at(row, col));
  }
};

const char* reject(const GatedActivationArgs& a) { return reject_types({a.gate, a.y, a.up}); }
void run(const GatedActivationArgs& a, const KernelContext& c) {
  with_compute_type(a.gate.dtype, [&]<class T>(T) {
    with_activation(a.activation, [&]<Activation kKind>() {
      const Gate<T, kKind> body{Rows<T>(a.y), Rows<T>(a.gate), Rows<T>(a.up)};
      for_each_of<kWide<T>>(a.op_name, {a.y, a.gate, a.up}, body, queue_of(c));
    });
  });
}

const char* reject(const GatedActivationBwdArgs& a) {
  return reject_types({a.gate, a.dy, a.dgate, a.up, a.dup});
}
void run(const GatedActivationBwdArgs& a, const KernelContext& c) {
  with_compute_type(a.gate.dtype, [&]<class T>(T) {
    with_activation(a.activation, [&]<Activation kKind>() {
      const GateBwd<T, kKind> body{Rows<T>(a.dgate), Rows<T>(a.dup), Rows<T>(a.dy), Rows<T>(a.gate),
                                   Rows<T>(a.up)};
      for_each_of<kWide<T>>(a.op_name, {a.dy, a.gate, a.dgate, a.up, a.dup}, body, queue_of(c));
    });
  });
}

}  // namespace

template <>
std::span<const Kernel<GatedActivationArgs>> op_kernels() {
  static constexpr Kernel<GatedActivationArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<GatedActivationBwdArgs>> op_kernels() {
  static constexpr Kernel<GatedActivationBwdArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
