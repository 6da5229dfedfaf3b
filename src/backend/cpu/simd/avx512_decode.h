#pragma once
// AVX-512 decoders of frozen weights.
#include "backend/cpu/simd/avx512_panel.h"
#include "backend/cpu/simd/bnb4_scale.h"
#include "backend/cpu/simd/decode_gguf.h"

namespace lorikeet::simd {
namespace {

#if defined(__AVX512BF16__)
/// The 16 values a block can take, rounded to bf16, twice.
LORIKEET_INLINE __m512i bnb4_values(__m512 code, float scale) {
  return _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(code, _mm512_set1_ps(scale))));
}
struct EvenOdd {
  __m512i even, odd;
};
/// 64 weights. The look-up uses 5 bits of each word; the table repeats, so the bit above a nibble does not
/// matter.
LORIKEET_INLINE EvenOdd look_up64(const uint8_t* codes, __m512i values) {
  const __m512i w = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
  return {_mm512_permutexvar_epi16(_mm512_srli_epi16(w, 4), values), _mm512_permutexvar_epi16(w, values)};
}

void decode_bnb4(const Codes& w, int64_t row, int64_t first, int64_t n, char* out) {
  const __m512 code = _mm512_loadu_ps(w.code);
  const __m512i low = interleave_low(), high = interleave_high();
  const int64_t flat = row * w.cols + first;
  for (int64_t k = 0; k < n; k += 64) {
    const EvenOdd x = look_up64(w.data + (flat + k) / 2, bnb4_values(code, bnb4_scale(w, flat + k)));
    _mm512_storeu_si512(out + 2 * k, _mm512_permutex2var_epi16(x.even, low, x.odd));
    _mm512_storeu_si512(out + 2 * k + 64, _mm512_permutex2var_epi16(x.even, high, x.odd));
  }
}

/// Calls f(unit index, 16 columns of the unit) for the columns [first, first + k) of 16 rows. The codes are
/// transposed before they are looked up: a quarter of the shuffles. Lanes are rows; each 4-byte piece of a
/// row holds four units, high nibble first.
template <class F>
LORIKEET_INLINE void for_each_bnb4_unit(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k,
                                        const F& f) {
  alignas(64) static constexpr uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                     21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                     11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i interleave = _mm512_load_si512(order);
  const __m512 code = _mm512_loadu_ps(w.code);
  for (int64_t done = 0; done < k; done += 128) {
    const bool whole = k - done >= 128;
    alignas(64) float scales[2][16] = {};
    __m512i r[16];
    for (int i = 0; i < 16; ++i) {
      if (i >= n) {
        r[i] = _mm512_setzero_si512();
        continue;
      }
      const int64_t flat = rows[i] * w.cols + first + done;
      const uint8_t* codes = w.data + flat / 2;
      scales[0][i] = bnb4_scale(w, flat);
      if (whole) {
        scales[1][i] = bnb4_scale(w, flat + 64);
        r[i] = _mm512_loadu_si512(codes);
      } else {
        r[i] = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
      }
    }
    transpose16(r);
    for (int half = 0; half < (whole ? 2 : 1); ++half) {
      const __m512 scale = _mm512_load_ps(scales[half]);
      LORIKEET_UNROLL
      for (int c = 0; c < 8; ++c) {
        const __m512i x = r[8 * half + c];
        LORIKEET_UNROLL
        for (int u = 0; u < 4; ++u) {
          const __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(x, 8 * u + 4), code);
          const __m512 odd = _mm512_permutexvar_ps(_mm512_srli_epi32(x, 8 * u), code);
          const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_mul_ps(odd, scale), _mm512_mul_ps(even, scale));
          f(done / 2 + half * 32 + c * 4 + u, _mm512_permutexvar_epi16(interleave, (__m512i)both));
        }
      }
    }
  }
}

void pack_bnb4_columns(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k, char* panel,
                       int64_t panel_stride) {
  for_each_bnb4_unit(w, rows, n, first, k,
                     [=](int64_t u, __m512i unit) { _mm512_storeu_si512(panel + u * panel_stride, unit); });
}

void few_bnb4(const Codes& w, const int32_t* weights, int n, int64_t k, const char* a, int64_t a_stride,
              int rows, float* c, bool add) {
  with_rows(rows, [&]<int R>() {
    FewSums<DotBf16, R> sums(c, add);
    for_each_bnb4_unit(w, weights, n, 0, k,
                       [&](int64_t u, __m512i unit) { sums.add(a + 4 * u, a_stride, unit); });
    sums.store(c);
  });
}

#else
void decode_bnb4(const Codes& w, int64_t row, int64_t first, int64_t n, char* out) {
  const __m512 code = _mm512_loadu_ps(w.code);
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  const int64_t flat = row * w.cols + first;
  for (int64_t k = 0; k < n; k += 32) {
    const __m512 scale = _mm512_set1_ps(bnb4_scale(w, flat + k));
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.data + (flat + k) / 2));
    const __m512i b = _mm512_cvtepu8_epi32(bytes);
    const __m512 even = _mm512_mul_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(b, 4), code), scale);
    const __m512 odd = _mm512_mul_ps(_mm512_permutexvar_ps(b, code), scale);
    _mm512_storeu_ps(out + 4 * k, _mm512_permutex2var_ps(even, low, odd));
    _mm512_storeu_ps(out + 4 * k + 64, _mm512_permutex2var_ps(even, high, odd));
  }
}
#endif

}  // namespace
}  // namespace lorikeet::simd
