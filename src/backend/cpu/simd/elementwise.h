#pragma once
// Element-wise kernels on the vector type V of the including file. Sums run in four f32 vectors.
#include "backend/cpu/simd/math.h"
#include "backend/cpu/simd/random.h"
#include "backend/cpu/simd/table.h"

namespace lorikeet::simd {
namespace {

constexpr int64_t kW = V::kWidth;

LORIKEET_INLINE int64_t size_of(Element t) { return t == Element::f32 ? 4 : 2; }
LORIKEET_INLINE V::F floats(const float* p, int64_t n) {
  return V::load(Element::f32, reinterpret_cast<const char*>(p), n);
}
LORIKEET_INLINE void store_floats(float* p, int64_t n, V::F x) {
  V::store(Element::f32, reinterpret_cast<char*>(p), n, x);
}

/// sum over i of term(i), i in steps of the vector width; term gets the first index and how many lanes count.
template <class F>
LORIKEET_INLINE float sum_over(int64_t n, const F& term) {
  V::F s[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t i = 0;
  for (; i + 4 * kW <= n; i += 4 * kW) {
    LORIKEET_UNROLL
    for (int j = 0; j < 4; ++j) s[j] = V::add(s[j], term(i + j * kW, kW));
  }
  for (; i < n; i += kW) s[0] = V::add(s[0], term(i, n - i));
  return V::sum(V::add(V::add(s[0], s[1]), V::add(s[2], s[3])));
}

template <Element E>
float square_row(const char* x, int64_t n) {
  return sum_over(n, [=](int64_t i, int64_t lanes) {
    const V::F v = V::load(E, x + i * size_of(E), lanes);
    return V::mul(v, v);
  });
}
template <Element E>
float dot(const char* a, const char* b, int64_t n) {
  return sum_over(n, [=](int64_t i, int64_t lanes) {
    return V::mul(V::load(E, a + i * size_of(E), lanes), V::load(E, b + i * size_of(E), lanes));
  });
}
template <Element E>
void norm_row(const char* x, const float* w, float rstd, char* y, int64_t n) {
  const V::F r = V::set(rstd);
  for (int64_t i = 0; i < n; i += kW)
    V::store(E, y + i * size_of(E), n - i,
             V::mul(V::mul(V::load(E, x + i * size_of(E), n - i), r), floats(w + i, n - i)));
}
template <Element E>
void norm_bwd_row(const char* dy, const char* x, const float* w, float rstd, bool accumulate, char* dx,
                  int64_t n) {
  const float dot = sum_over(n, [=](int64_t i, int64_t lanes) {
    return V::mul(V::mul(V::load(E, dy + i * size_of(E), lanes), floats(w + i, lanes)),
                  V::load(E, x + i * size_of(E), lanes));
  });
  const V::F r = V::set(rstd), shared = V::set(dot * rstd * rstd * rstd / static_cast<float>(n));
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(E);
    const V::F g = V::mul(V::mul(r, V::load(E, dy + at, n - i)), floats(w + i, n - i));
    V::F d = V::negative_fma(V::load(E, x + at, n - i), shared, g);
    if (accumulate) d = V::add(V::load(E, dx + at, n - i), d);
    V::store(E, dx + at, n - i, d);
  }
}

template <Element E>
float sum_row(const char* x, int64_t n) {
  return sum_over(n, [=](int64_t i, int64_t lanes) { return V::load(E, x + i * size_of(E), lanes); });
}
template <Element E>
float deviation_row(const char* x, float mean, int64_t n) {
  const V::F m = V::set(mean);
  return sum_over(n, [=](int64_t i, int64_t lanes) {
    V::F v = V::sub(V::load(E, x + i * size_of(E), lanes), m);
    if (lanes < kW) v = V::fill_after(v, lanes, V::zero());
    return V::mul(v, v);
  });
}
template <Element E>
LORIKEET_INLINE V::F normed(const char* x, V::F mean, V::F rstd, int64_t n) {
  return V::mul(V::sub(V::load(E, x, n), mean), rstd);
}
template <Element E>
void layer_norm_row(const char* x, const float* w, const float* b, const float* stats, char* y, int64_t n) {
  const V::F mean = V::set(stats[0]), rstd = V::set(stats[1]);
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(E);
    V::F v = V::mul(normed<E>(x + at, mean, rstd, n - i), floats(w + i, n - i));
    if (b) v = V::add(v, floats(b + i, n - i));
    V::store(E, y + at, n - i, v);
  }
}
template <Element E>
void layer_norm_bwd_row(const char* dy, const char* x, const float* w, const float* stats, bool accumulate,
                        char* dx, int64_t n) {
  const V::F mean = V::set(stats[0]), rstd = V::set(stats[1]);
  const auto g = [=](int64_t i, int64_t lanes) {
    return V::mul(V::load(E, dy + i * size_of(E), lanes), floats(w + i, lanes));
  };
  const float sum = sum_over(n, g),
              dot = sum_over(n, [=](int64_t i, int64_t lanes) {
                return V::mul(g(i, lanes), normed<E>(x + i * size_of(E), mean, rstd, lanes));
              });
  const V::F mean_g = V::set(sum / static_cast<float>(n)), mean_dot = V::set(dot / static_cast<float>(n));
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(E);
    const V::F centred = V::sub(g(i, n - i), mean_g);
    V::F d = V::mul(rstd, V::negative_fma(normed<E>(x + at, mean, rstd, n - i), mean_dot, centred));
    if (accumulate) d = V::add(V::load(E, dx + at, n - i), d);
    V::store(E, dx + at, n - i, d);
  }
}
template <Element E>
void layer_norm_weight_sum(const char* dy, int64_t dy_stride, const char* x, int64_t x_stride,
                           const float* stats, int64_t rows, int cols, float* out) {
  V::F sum = V::zero();
  for (int64_t r = 0; r < rows; ++r) {
    const V::F mean = V::set(stats[2 * r]), rstd = V::set(stats[2 * r + 1]);
    sum = V::fma(V::load(E, dy + r * dy_stride, cols), normed<E>(x + r * x_stride, mean, rstd, cols), sum);
  }
  store_floats(out, cols, V::add(floats(out, cols), sum));
}

/// out[0:cols] += sum over rows of a (* b) (* scale[row]); cols at most one vector.
template <Element E>
void column_sum(const char* a, int64_t a_stride, const char* b, int64_t b_stride, const float* scale,
                int64_t rows, int cols, float* out) {
  V::F sum = V::zero();
  for (int64_t r = 0; r < rows; ++r) {
    V::F v = V::load(E, a + r * a_stride, cols);
    if (b) v = V::mul(v, V::load(E, b + r * b_stride, cols));
    if (scale) v = V::mul(v, V::set(scale[r]));
    sum = V::add(sum, v);
  }
  store_floats(out, cols, V::add(floats(out, cols), sum));
}

template <Element E>
void scale_columns(const char* x, const float* scale, float offset, const float* bias, const char* add,
                   char* y, int64_t n) {
  const V::F shift = V::set(offset);
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(E);
    V::F v = V::mul(V::load(E, x + at, n - i), V::add(floats(scale + i, n - i), shift));
    if (bias) v = V::add(v, floats(bias + i, n - i));
    if (add) v = V::add(V::load(E, add + at, n - i), v);
    V::store(E, y + at, n - i, v);
  }
}

template <Element E>
void rope_head(const char* x, const float* cos, const float* sin, float sign, int64_t half, char* y) {
  for (int64_t j = 0; j < half; j += kW) {
    const int64_t n = half - j, at0 = j * size_of(E), at1 = (j + half) * size_of(E);
    const V::F u = V::load(E, x + at0, n), v = V::load(E, x + at1, n), c = floats(cos + j, n);
    const V::F s = V::mul(V::set(sign), floats(sin + j, n));
    V::store(E, y + at0, n, V::sub(V::mul(u, c), V::mul(v, s)));
    V::store(E, y + at1, n, V::add(V::mul(v, c), V::mul(u, s)));
  }
}

struct ActivationValue {
  V::F value, slope;
};
template <int kKind>  // in the order of Activation: silu, gelu_tanh, gelu, relu
LORIKEET_INLINE ActivationValue activate(V::F x, bool slope) {
  const V::F one = V::set(1), half = V::set(0.5f);
  if constexpr (kKind == 0) {
    const V::F s = V::inverse(V::add(one, exp_of(V::sub(V::zero(), x))));
    return {V::mul(x, s), V::mul(s, V::fma(x, V::sub(one, s), one))};
  } else if constexpr (kKind == 1) {
    const V::F k = V::set(0.7978845608028654f), c = V::set(0.044715f), xx = V::mul(x, x);
    const V::F t = tanh_of(V::mul(k, V::fma(V::mul(c, xx), x, x)));
    const V::F cdf = V::mul(half, V::add(one, t));
    if (!slope) return {V::mul(x, cdf), V::zero()};
    const V::F inner = V::mul(k, V::fma(V::mul(V::set(3), c), xx, one));
    return {V::mul(x, cdf), V::fma(V::mul(half, x), V::mul(V::negative_fma(t, t, one), inner), cdf)};
  } else if constexpr (kKind == 2) {
    const V::F cdf = V::mul(half, V::add(one, erf_of(V::mul(x, V::set(0.7071067811865476f)))));
    if (!slope) return {V::mul(x, cdf), V::zero()};
    const V::F density = V::mul(V::set(0.3989422804014327f), exp_of(V::mul(V::set(-0.5f), V::mul(x, x))));
    return {V::mul(x, cdf), V::fma(x, density, cdf)};
  } else {
    return {V::max(x, V::zero()), V::select_less(V::zero(), x, one, V::zero())};
  }
}
template <Element E, int kKind>
void gate_row(const char* gate, const char* up, char* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(E);
    V::F v = activate<kKind>(V::load(E, gate + at, n - i), false).value;
    if (up) v = V::mul(v, V::load(E, up + at, n - i));
    V::store(E, y + at, n - i, v);
  }
}
template <Element E, int kKind>
void gate_bwd_row(const char* dy, const char* gate, const char* up, char* dgate, char* dup, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(E);
    const ActivationValue a = activate<kKind>(V::load(E, gate + at, n - i), true);
    const V::F d = V::load(E, dy + at, n - i);
    V::F dg = d;
    if (up) {
      dg = V::mul(d, V::load(E, up + at, n - i));
      V::store(E, dup + at, n - i, V::mul(d, a.value));
    }
    V::store(E, dgate + at, n - i, V::mul(dg, a.slope));
  }
}

LORIKEET_INLINE V::F capped(V::F z, float scale, float softcap) {
  if (scale != 1) z = V::mul(z, V::set(scale));
  if (softcap > 0) z = V::mul(V::set(softcap), tanh_of(V::mul(z, V::set(1 / softcap))));
  return z;
}
void cap_row(const float* z, int64_t n, float scale, float softcap, float* y) {
  for (int64_t i = 0; i < n; i += kW)
    store_floats(y + i, n - i, capped(floats(z + i, n - i), scale, softcap));
}
float row_maximum(const float* z, int64_t n) {
  const V::F low = V::set(-__builtin_inff());
  V::F top[4] = {low, low, low, low};
  int64_t i = 0;
  for (; i + 4 * kW <= n; i += 4 * kW) {
    LORIKEET_UNROLL
    for (int j = 0; j < 4; ++j) top[j] = V::max(top[j], floats(z + i + j * kW, kW));
  }
  for (; i < n; i += kW) top[0] = V::max(top[0], V::fill_after(floats(z + i, n - i), n - i, low));
  return V::largest(V::max(V::max(top[0], top[1]), V::max(top[2], top[3])));
}
float exp_sum(const float* z, int64_t n, float top, float scale, float softcap) {
  const V::F t = V::set(top);
  return sum_over(n, [=](int64_t i, int64_t lanes) {
    const V::F e = exp_of(V::sub(capped(floats(z + i, lanes), scale, softcap), t));
    return lanes >= kW ? e : V::fill_after(e, lanes, V::zero());
  });
}
/// factor * softmax of the row, its derivative with respect to the raw logits; ascending, so out may start
/// where z does.
template <Element E>
void softmax_gradient(const float* z, int64_t n, float lse, float scale, float softcap, float factor,
                      char* out) {
  const V::F l = V::set(lse), f = V::set(factor * scale), inverse = V::set(softcap > 0 ? 1 / softcap : 0);
  for (int64_t i = 0; i < n; i += kW) {
    const V::F c = capped(floats(z + i, n - i), scale, softcap);
    V::F g = V::mul(f, exp_of(V::sub(c, l)));
    if (softcap > 0) {
      const V::F ratio = V::mul(c, inverse);
      g = V::mul(g, V::negative_fma(ratio, ratio, V::set(1)));
    }
    V::store(E, out + i * size_of(E), n - i, g);
  }
}

void scale_lanes(float* c, int64_t rows, int vectors, const float* factor) {
  for (int64_t i = 0; i < rows; ++i)
    for (int j = 0; j < 16 * vectors; j += kW) {
      float* p = c + i * kPanelColumns + j;
      store_floats(p, kW, V::mul(floats(p, kW), floats(factor + j, kW)));
    }
}

double square_sum(const float* g, int64_t n) {
  double s[2] = {0, 0};
  int64_t i = 0;
  for (; i + 2 * kW <= n; i += 2 * kW) {
    s[0] += V::sum_of_squares(floats(g + i, kW));
    s[1] += V::sum_of_squares(floats(g + i + kW, kW));
  }
  for (; i < n; i += kW) s[0] += V::sum_of_squares(floats(g + i, n - i));
  return s[0] + s[1];
}

/// One rounding per operation, in the order of torch.optim.AdamW (or of bitsandbytes' 8-bit AdamW, whose
/// first moment is a sum and no interpolation): no fused multiply-adds, or paths would differ.
template <bool kInterpolate>
void adamw(const AdamW& o, float* p, const float* g, float* m, float* v, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t k = n - i;
    const V::F grad = V::mul(floats(g + i, k), V::set(o.grad_scale));
    const V::F m0 = floats(m + i, k), share = V::set(o.one_minus_beta1);
    const V::F m1 = kInterpolate ? V::add(m0, V::mul(share, V::sub(grad, m0)))
                                 : V::add(V::mul(m0, V::set(o.beta1)), V::mul(share, grad));
    const V::F v1 = V::add(V::mul(floats(v + i, k), V::set(o.beta2)),
                           V::mul(V::mul(V::set(o.one_minus_beta2), grad), grad));
    const V::F denominator = V::add(V::div(V::sqrt(v1), V::set(o.root)), V::set(o.eps));
    const V::F p1 = V::sub(V::mul(floats(p + i, k), V::set(o.decay)),
                           V::mul(V::set(o.step_size), V::div(m1, denominator)));
    store_floats(m + i, k, m1);
    store_floats(v + i, k, v1);
    store_floats(p + i, k, p1);
  }
}

void sgd(const Sgd& o, float* p, const float* g, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t k = n - i;
    const V::F p0 = floats(p + i, k);
    const V::F grad =
        V::add(V::mul(floats(g + i, k), V::set(o.grad_scale)), V::mul(V::set(o.weight_decay), p0));
    store_floats(p + i, k, V::sub(p0, V::mul(V::set(o.lr), grad)));
  }
}

/// y = scale * x (+ y).
void scale_row(Element from, const char* x, float scale, bool accumulate, Element to, char* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    V::F v = V::mul(V::load(from, x + i * size_of(from), n - i), V::set(scale));
    if (accumulate) v = V::add(V::load(to, y + i * size_of(to), n - i), v);
    V::store(to, y + i * size_of(to), n - i, v);
  }
}

/// y = x * keep_scale where the draw reaches p, else 0 (+ y).
void drop_row(Element type, const char* x, const float* draw, float p, float keep_scale, bool accumulate,
              char* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    const int64_t at = i * size_of(type);
    const V::F kept = V::mul(V::load(type, x + at, n - i), V::set(keep_scale));
    V::F v = V::select_less(floats(draw + i, n - i), V::set(p), V::zero(), kept);
    if (accumulate) v = V::add(V::load(type, y + at, n - i), v);
    V::store(type, y + at, n - i, v);
  }
}

template <Element E>
constexpr TypedOps typed_ops() {
  return {square_row<E>,
          norm_row<E>,
          norm_bwd_row<E>,
          sum_row<E>,
          deviation_row<E>,
          layer_norm_row<E>,
          layer_norm_bwd_row<E>,
          layer_norm_weight_sum<E>,
          column_sum<E>,
          rope_head<E>,
          {gate_row<E, 0>, gate_row<E, 1>, gate_row<E, 2>, gate_row<E, 3>},
          {gate_bwd_row<E, 0>, gate_bwd_row<E, 1>, gate_bwd_row<E, 2>, gate_bwd_row<E, 3>},
          dot<E>,
          scale_columns<E>,
          softmax_gradient<E>};
}
VectorOps vector_ops(decltype(VectorOps::finish) finish, decltype(VectorOps::transpose) transpose) {
  return {V::kWidth,
          finish,
          transpose,
          scale_lanes,
          row_maximum,
          exp_sum,
          cap_row,
          square_sum,
          {adamw<true>, adamw<false>, sgd},
          scale_row,
          uniform,
          drop_row,
          {typed_ops<Element::f32>(), typed_ops<Element::bf16>()}};
}

}  // namespace
}  // namespace lorikeet::simd
