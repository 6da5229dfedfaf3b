#pragma once
// AVX-512 decoders of frozen weights.
#include "backend/cpu/simd/avx512_panel.h"
#include "backend/cpu/simd/bnb4_scale.h"
#include "backend/cpu/simd/decode_gguf.h"
#include "backend/cpu/simd/decode_grouped.h"

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
