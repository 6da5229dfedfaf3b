#pragma once
// The parts of attention between its products, on the vector type V of the including file. Lanes are queries,
// rows of a block are keys.
#include "backend/cpu/simd/elementwise.h"

namespace lorikeet::simd {
namespace {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kHidden = -1e37f;  // scores below it are masked

/// 2^x to 2e-7 relative, by interpolation at the Chebyshev nodes of [-1/2, 1/2].
LORIKEET_INLINE V::F exp2_of(V::F x) {
  const V::F n = V::round(x), f = V::sub(x, n);
  V::F p = V::set(1.339086336e-3f);
  p = V::fma(p, f, V::set(9.676031918e-3f));
  p = V::fma(p, f, V::set(5.550357114e-2f));
  p = V::fma(p, f, V::set(2.402210749e-1f));
  p = V::fma(p, f, V::set(6.931471880e-1f));
  p = V::fma(p, f, V::set(1.000000075f));
  return V::scale2_any(p, n);
}

/// Writes rows j and j + 1 of probabilities into a packed panel.
struct FloatPanel {
  static constexpr int kUnit = 1;
  static LORIKEET_INLINE void store(char* panel, int64_t stride, int j, int lane, V::F a, V::F b) {
    float* p = reinterpret_cast<float*>(panel + j * stride) + lane;
    store_floats(p, kW, a);
    store_floats(reinterpret_cast<float*>(reinterpret_cast<char*>(p) + stride), kW, b);
  }
  static LORIKEET_INLINE void store_rows(char* rows, int j, int lane, V::F a, V::F b) {
    store(rows, 4 * kPanelColumns, j, lane, a, b);
  }
};
#if defined(__AVX512BF16__)
struct PairPanel {
  static constexpr int kUnit = 2;
  static LORIKEET_INLINE __m512i both(V::F a, V::F b) { return (__m512i)_mm512_cvtne2ps_pbh(b, a); }
  static LORIKEET_INLINE __m512i interleaved(__m512i both) {
    alignas(64) static constexpr uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(order), both);
  }
  static LORIKEET_INLINE void store(char* panel, int64_t stride, int j, int lane, V::F a, V::F b) {
    _mm512_storeu_si512(panel + j / 2 * stride + 4 * lane, interleaved(both(a, b)));
  }
  static LORIKEET_INLINE void store_rows(char* rows, int j, int lane, V::F a, V::F b) {
    const __m512i x = both(a, b);
    char* p = rows + (j * kPanelColumns + lane) * 2;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256(x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 2 * kPanelColumns), _mm512_extracti64x4_epi64(x, 1));
  }
};
#endif

LORIKEET_INLINE V::F hide(V::F x, int j, const ScoreBlock& b, int lane) {
  const V::F key = V::set(static_cast<float>(j)), hidden = V::set(-__builtin_inff());
  x = V::select_less(key, floats(b.low + lane, kW), hidden, x);
  return V::select_less(floats(b.high + lane, kW), key, hidden, x);
}

template <class Panel>
bool softmax(const ScoreBlock& b, float* maximum, float* sum, float* factor, char* panel) {
  const int64_t stride = 64 * b.vectors;
  const int lanes = 16 * b.vectors;
  bool changed = false;
  for (int lane = 0; lane < lanes; lane += kW) {
    float* s = b.scores + lane;
    V::F top = V::set(-__builtin_inff());
    if (b.low || b.softcap > 0) {
      for (int j = 0; j < b.keys; ++j) {
        V::F x = floats(s + j * kPanelColumns, kW);
        if (b.softcap > 0) x = capped(x, b.scale, b.softcap);
        if (b.low) x = hide(x, j, b, lane);
        store_floats(s + j * kPanelColumns, kW, x);
        top = V::max(x, top);
      }
    } else {
      for (int j = 0; j < b.keys; ++j) top = V::max(floats(s + j * kPanelColumns, kW), top);
    }
    const float scale = b.softcap > 0 ? 1 : b.scale;
    const V::F old = floats(maximum + lane, kW), now = V::max(old, V::mul(top, V::set(scale)));
    const V::F log2e = V::set(kLog2E), f = exp2_of(V::mul(V::sub(old, now), log2e));
    changed = changed || V::largest(V::sub(V::set(1), f)) != 0;
    store_floats(maximum + lane, kW, now);
    store_floats(factor + lane, kW, f);

    const V::F slope = V::set(scale * kLog2E), shift = V::mul(now, V::set(-kLog2E));
    const auto probability = [&](int j) {
      const V::F x = floats(s + j * kPanelColumns, kW);
      const V::F p = exp2_of(V::fma(x, slope, shift));
      return b.low ? V::select_less(V::set(kHidden), x, p, V::zero()) : p;
    };
    V::F total = V::zero(), total1 = V::zero();
    int j = 0;
    for (; j + 1 < b.keys; j += 2) {
      const V::F p0 = probability(j), p1 = probability(j + 1);
      total = V::add(total, p0);
      total1 = V::add(total1, p1);
      Panel::store(panel, stride, j, lane, p0, p1);
    }
    if (j < b.keys) {
      const V::F p = probability(j);
      total = V::add(total, p);
      Panel::store(panel, stride, j, lane, p, V::zero());
    }
    store_floats(sum + lane, kW, V::fma(floats(sum + lane, kW), f, V::add(total, total1)));
  }
  return changed;
}

template <class Panel>
void gradient(const ScoreBlock& b, const float* dp, const float* lse, const float* delta, char* p_rows,
              char* ds_rows, char* ds_panel) {
  const int64_t stride = 64 * b.vectors;
  struct Pair {
    V::F p, ds;
  };
  for (int lane = 0; lane < 16 * b.vectors; lane += kW) {
    const V::F l = V::mul(floats(lse + lane, kW), V::set(-kLog2E)), d = floats(delta + lane, kW);
    const V::F slope = V::set(b.scale * kLog2E), scale = V::set(b.scale),
               cap = V::set(b.softcap > 0 ? 1 / b.softcap : 0);
    const auto element = [&](int j) -> Pair {
      V::F x = floats(b.scores + j * kPanelColumns + lane, kW);
      V::F factor = scale, t;
      if (b.softcap > 0) {
        x = capped(x, b.scale, b.softcap);
        const V::F ratio = V::mul(x, cap);
        factor = V::mul(scale, V::negative_fma(ratio, ratio, V::set(1)));
        t = V::fma(x, V::set(kLog2E), l);
      } else {
        t = V::fma(x, slope, l);
      }
      V::F p = exp2_of(t);
      if (b.low) p = V::select_less(V::set(kHidden), hide(x, j, b, lane), p, V::zero());
      const V::F gradient = V::sub(floats(dp + j * kPanelColumns + lane, kW), d);
      return {p, V::mul(V::mul(p, factor), gradient)};
    };
    for (int j = 0; j < b.keys; j += 2) {
      const Pair x = element(j), y = j + 1 < b.keys ? element(j + 1) : Pair{V::zero(), V::zero()};
      Panel::store_rows(p_rows, j, lane, x.p, y.p);
      Panel::store_rows(ds_rows, j, lane, x.ds, y.ds);
      Panel::store(ds_panel, stride, j, lane, x.ds, y.ds);
    }
  }
}

template <class Panel>
constexpr AttentionOps attention_ops() {
  return {softmax<Panel>, gradient<Panel>};
}

}  // namespace
}  // namespace lorikeet::simd
