#pragma once
// AVX-512 building blocks shared by avx512.cpp and avx512bf16.cpp. Everything is local to the including file.
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own headers start from undefined registers (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
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

LORIKEET_INLINE __m512i broadcast_unit(const char* p) {
  int x;
  __builtin_memcpy(&x, p, 4);
  return _mm512_set1_epi32(x);
}
LORIKEET_INLINE __mmask16 first_lanes(int64_t n) {
  return n >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (n < 0 ? 0 : n)) - 1);
}
LORIKEET_INLINE __mmask32 first_halves(int64_t n) { return n >= 32 ? ~0u : (1u << (n < 0 ? 0 : n)) - 1; }

LORIKEET_INLINE __m512 widen(__m256i bf16) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

/// Rounds to nearest even; a NaN stays a NaN.
LORIKEET_INLINE __m256i narrow(__m512 x) {
#if defined(__AVX512BF16__)
  return (__m256i)_mm512_cvtneps_pbh(x);
#else
  const __m512i u = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
#endif
}

// Whole vectors are not masked: masked 16-bit stores are microcode on Zen 4.

/// Loads and stores of the first n of 32 halves.
LORIKEET_INLINE __m512i load_halves(const char* p, int64_t n) {
  return n >= 32 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(first_halves(n), p);
}
LORIKEET_INLINE void store_halves(char* p, int64_t n, __m512i x) {
  if (n >= 32)
    _mm512_storeu_si512(p, x);
  else if (n == 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256(x));
  else
    _mm512_mask_storeu_epi16(p, first_halves(n), x);
}

/// The first n numbers of a type as floats; the other lanes are zero.
LORIKEET_INLINE __m512 load_some(Element type, const char* p, int64_t n) {
  if (type == Element::f32) return n >= 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first_lanes(n), p);
  const __m256i half = n >= 16 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                               : _mm256_maskz_loadu_epi16(first_lanes(n), p);
  return type == Element::bf16 ? widen(half) : _mm512_cvtph_ps(half);
}
LORIKEET_INLINE void store_some(Element type, char* p, int64_t n, __m512 x) {
  if (type == Element::f32) {
    if (n >= 16)
      _mm512_storeu_ps(p, x);
    else
      _mm512_mask_storeu_ps(p, first_lanes(n), x);
    return;
  }
  const __m256i half = type == Element::bf16 ? narrow(x) : _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
  if (n >= 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
  else
    _mm256_mask_storeu_epi16(p, first_lanes(n), half);
}

/// The vector of the element-wise kernels.
struct V {
  using F = __m512;
  static constexpr int kWidth = 16;
  static LORIKEET_INLINE F zero() { return _mm512_setzero_ps(); }
  static LORIKEET_INLINE F set(float x) { return _mm512_set1_ps(x); }
  static LORIKEET_INLINE F load(Element t, const char* p, int64_t n) { return load_some(t, p, n); }
  static LORIKEET_INLINE void store(Element t, char* p, int64_t n, F x) { store_some(t, p, n, x); }
  static LORIKEET_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
  static LORIKEET_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static LORIKEET_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static LORIKEET_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
  static LORIKEET_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static LORIKEET_INLINE F negative_fma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  /// 1 / a for a >= 1 to 1e-7 relative: one Newton step, a third of the time of a division.
  static LORIKEET_INLINE F inverse(F a) {
    const F r = _mm512_rcp14_ps(a);
    return _mm512_mul_ps(r, _mm512_fnmadd_ps(a, r, _mm512_set1_ps(2)));
  }
  static LORIKEET_INLINE F sqrt(F a) { return _mm512_sqrt_ps(a); }
  /// The second operand if one is NaN.
  static LORIKEET_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
  static LORIKEET_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
  static LORIKEET_INLINE F abs(F a) { return _mm512_abs_ps(a); }
  static LORIKEET_INLINE F round(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  /// a * 2^n for whole n within the exponents of normal numbers.
  static LORIKEET_INLINE F scale2(F a, F n) { return _mm512_scalef_ps(a, n); }
  /// The same for any whole n: far below, the result is zero.
  static LORIKEET_INLINE F scale2_any(F a, F n) { return _mm512_scalef_ps(a, n); }
  /// x where a < b, else y.
  static LORIKEET_INLINE F select_less(F a, F b, F x, F y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
  }
  /// a with the sign of b.
  static LORIKEET_INLINE F copy_sign(F a, F b) {
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_andnot_si512(sign, _mm512_castps_si512(a)),
                                               _mm512_and_si512(sign, _mm512_castps_si512(b))));
  }
  /// Lanes from n on become x.
  static LORIKEET_INLINE F fill_after(F a, int64_t n, F x) {
    return _mm512_mask_blend_ps(first_lanes(n), x, a);
  }
  static LORIKEET_INLINE float sum(F a) { return _mm512_reduce_add_ps(a); }
  static LORIKEET_INLINE float largest(F a) { return _mm512_reduce_max_ps(a); }
  static LORIKEET_INLINE double sum_of_squares(F a) {
    const __m512d lo = _mm512_cvtps_pd(_mm512_castps512_ps256(a)),
                  hi = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
    return _mm512_reduce_add_pd(_mm512_fmadd_pd(lo, lo, _mm512_mul_pd(hi, hi)));
  }
};

/// 32-bit unsigned integers, as many as V has lanes.
struct U {
  using I = __m512i;
  static LORIKEET_INLINE I set(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  /// 64-bit numbers from `first` on, in the order that pairs_low() and pairs_high() undo.
  static constexpr int kCounters = 8;
  static LORIKEET_INLINE I counters(uint64_t first) {
    return _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(first)),
                            _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
  }
  static LORIKEET_INLINE I pairs_low(I a, I b) { return _mm512_unpacklo_epi64(a, b); }
  static LORIKEET_INLINE I pairs_high(I a, I b) { return _mm512_unpackhi_epi64(a, b); }
  static LORIKEET_INLINE I exclusive_or(I a, I b) { return _mm512_xor_si512(a, b); }
  static LORIKEET_INLINE I product_even(I a, I b) { return _mm512_mul_epu32(a, b); }
  static LORIKEET_INLINE I high_half(I a) { return _mm512_srli_epi64(a, 32); }
  static LORIKEET_INLINE I low_to_high(I a) { return _mm512_slli_epi64(a, 32); }
  static LORIKEET_INLINE I even_odd(I even, I odd) { return _mm512_mask_mov_epi32(even, 0xaaaa, odd); }
  static LORIKEET_INLINE V::F top24(I a) { return _mm512_cvtepi32_ps(_mm512_srli_epi32(a, 8)); }
};

/// 16 x 16 transpose of 4-byte units.
LORIKEET_INLINE void transpose16(__m512i (&r)[16]) {
  __m512i t[16];
  LORIKEET_UNROLL
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  LORIKEET_UNROLL
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  LORIKEET_UNROLL
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
  }
  LORIKEET_UNROLL
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
  }
}

/// The word order that interleaves two registers: low half, high half.
LORIKEET_INLINE __m512i interleave_low() {
  alignas(64) static constexpr uint16_t order[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                     37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                     11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  return _mm512_load_si512(order);
}
LORIKEET_INLINE __m512i interleave_high() {
  return _mm512_add_epi16(interleave_low(), _mm512_set1_epi16(16));
}

struct DotF32 {
  static LORIKEET_INLINE __m512 add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
};
#if defined(__AVX512BF16__)
struct DotBf16 {
  static LORIKEET_INLINE __m512 add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
};
#endif

}  // namespace
}  // namespace lorikeet::simd
