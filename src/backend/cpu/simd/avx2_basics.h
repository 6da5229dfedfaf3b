#pragma once
// AVX2 building blocks. Everything is local to the including file.
#include <immintrin.h>

#include "backend/cpu/simd/table.h"

#if defined(__clang__)
#define LORIKEET_UNROLL _Pragma("unroll")
#else
#define LORIKEET_UNROLL _Pragma("GCC unroll 16")
#endif
#define LORIKEET_INLINE inline __attribute__((always_inline))

namespace lorikeet::simd {
namespace {

constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

LORIKEET_INLINE __m256 widen(__m128i bf16) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}
/// Rounds to nearest even; a NaN stays a NaN.
LORIKEET_INLINE __m128i narrow(__m256 x) {
  const __m256i u = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}

LORIKEET_INLINE __m256i first_lanes(int64_t n) {
  alignas(32) static constexpr int kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + 8 - (n > 8 ? 8 : n < 0 ? 0 : n)));
}

/// The first n numbers of a type as floats; the other lanes are zero.
LORIKEET_INLINE __m256 load_some(Element type, const char* p, int64_t n) {
  if (type == Element::f32)
    return n >= 8 ? _mm256_loadu_ps(reinterpret_cast<const float*>(p))
                  : _mm256_maskload_ps(reinterpret_cast<const float*>(p), first_lanes(n));
  __m128i half;
  if (n >= 8) {
    half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  } else {
    uint16_t some[8] = {};
    for (int64_t i = 0; i < n; ++i) __builtin_memcpy(some + i, p + 2 * i, 2);
    half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(some));
  }
  return type == Element::bf16 ? widen(half) : _mm256_cvtph_ps(half);
}
LORIKEET_INLINE void store_some(Element type, char* p, int64_t n, __m256 x) {
  if (type == Element::f32) {
    if (n >= 8)
      _mm256_storeu_ps(reinterpret_cast<float*>(p), x);
    else
      _mm256_maskstore_ps(reinterpret_cast<float*>(p), first_lanes(n), x);
    return;
  }
  const __m128i half = type == Element::bf16 ? narrow(x) : _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
  if (n >= 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
  } else {
    uint16_t some[8];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(some), half);
    for (int64_t i = 0; i < n; ++i) __builtin_memcpy(p + 2 * i, some + i, 2);
  }
}

/// The vector of the element-wise kernels.
struct V {
  using F = __m256;
  static constexpr int kWidth = 8;
  static LORIKEET_INLINE F zero() { return _mm256_setzero_ps(); }
  static LORIKEET_INLINE F set(float x) { return _mm256_set1_ps(x); }
  static LORIKEET_INLINE F load(Element t, const char* p, int64_t n) { return load_some(t, p, n); }
  static LORIKEET_INLINE void store(Element t, char* p, int64_t n, F x) { store_some(t, p, n, x); }
  static LORIKEET_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
  static LORIKEET_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static LORIKEET_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static LORIKEET_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
  static LORIKEET_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static LORIKEET_INLINE F negative_fma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
  static LORIKEET_INLINE F inverse(F a) { return _mm256_div_ps(_mm256_set1_ps(1), a); }
  static LORIKEET_INLINE F sqrt(F a) { return _mm256_sqrt_ps(a); }
  /// The second operand if one is NaN.
  static LORIKEET_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
  static LORIKEET_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
  static LORIKEET_INLINE F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static LORIKEET_INLINE F round(F a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  /// a * 2^n for whole n within the exponents of normal numbers, in two factors so that 2^128 can be reached.
  static LORIKEET_INLINE F scale2(F a, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    const auto power = [](__m256i e) {
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
    };
    return _mm256_mul_ps(_mm256_mul_ps(a, power(half)), power(_mm256_sub_epi32(whole, half)));
  }
  /// The same for any whole n: far below, the result is next to zero.
  static LORIKEET_INLINE F scale2_any(F a, F n) { return scale2(a, max(set(-126), n)); }
  /// x where a < b, else y.
  static LORIKEET_INLINE F select_less(F a, F b, F x, F y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  /// a with the sign of b.
  static LORIKEET_INLINE F copy_sign(F a, F b) {
    return _mm256_or_ps(abs(a), _mm256_and_ps(_mm256_set1_ps(-0.0f), b));
  }
  /// Lanes from n on become x.
  static LORIKEET_INLINE F fill_after(F a, int64_t n, F x) {
    return _mm256_blendv_ps(x, a, _mm256_castsi256_ps(first_lanes(n)));
  }
  static LORIKEET_INLINE float sum(F a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static LORIKEET_INLINE float largest(F a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
  static LORIKEET_INLINE double sum_of_squares(F a) {
    const __m256d lo = _mm256_cvtps_pd(_mm256_castps256_ps128(a)),
                  hi = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    const __m256d q = _mm256_fmadd_pd(lo, lo, _mm256_mul_pd(hi, hi));
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
  }
};

/// 32-bit unsigned integers, as many as V has lanes.
struct U {
  using I = __m256i;
  static LORIKEET_INLINE I set(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  /// 64-bit numbers from `first` on, in the order that pairs_low() and pairs_high() undo.
  static constexpr int kCounters = 4;
  static LORIKEET_INLINE I counters(uint64_t first) {
    return _mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(first)),
                            _mm256_setr_epi64x(0, 2, 1, 3));
  }
  static LORIKEET_INLINE I pairs_low(I a, I b) { return _mm256_unpacklo_epi64(a, b); }
  static LORIKEET_INLINE I pairs_high(I a, I b) { return _mm256_unpackhi_epi64(a, b); }
  static LORIKEET_INLINE I exclusive_or(I a, I b) { return _mm256_xor_si256(a, b); }
  static LORIKEET_INLINE I product_even(I a, I b) { return _mm256_mul_epu32(a, b); }
  static LORIKEET_INLINE I high_half(I a) { return _mm256_srli_epi64(a, 32); }
  static LORIKEET_INLINE I low_to_high(I a) { return _mm256_slli_epi64(a, 32); }
  static LORIKEET_INLINE I even_odd(I even, I odd) { return _mm256_blend_epi32(even, odd, 0xaa); }
  static LORIKEET_INLINE V::F top24(I a) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(a, 8)); }
};

/// 8 x 8 transpose of 4-byte units.
LORIKEET_INLINE void transpose8(__m256 (&r)[8]) {
  __m256 t[8];
  LORIKEET_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  LORIKEET_UNROLL
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  LORIKEET_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
    t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
  }
  LORIKEET_UNROLL
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

}  // namespace
}  // namespace lorikeet::simd
