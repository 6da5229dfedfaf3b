#pragma once
// The AVX2 micro-kernel, packs and decoders: f32 products.
#include "backend/cpu/simd/avx2_basics.h"
#include "backend/cpu/simd/bnb4_scale.h"
#include "backend/cpu/simd/decode_gguf.h"
#include "backend/cpu/simd/decode_grouped.h"

namespace lorikeet::simd {
namespace {

/// R rows x 16 columns of sums, all in registers; `step` floats from one unit of the panel to the next.
template <int R>
void tile(const Segment* segments, int count, int64_t column, int64_t step, float* c, bool add) {
  __m256 sum[R][2];
  LORIKEET_UNROLL
  for (int i = 0; i < R; ++i) {
    LORIKEET_UNROLL
    for (int j = 0; j < 2; ++j)
      sum[i][j] = add ? _mm256_loadu_ps(c + i * kPanelColumns + 8 * j) : _mm256_setzero_ps();
  }
  for (const Segment* s = segments; s != segments + count; ++s) {
    const float* a = reinterpret_cast<const float*>(s->a);
    const float* b = reinterpret_cast<const float*>(s->b) + column;
    const int64_t stride = s->a_stride / 4;
    for (int64_t u = 0; u < s->units; ++u, ++a, b += step) {
      const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
      LORIKEET_UNROLL
      for (int i = 0; i < R; ++i) {
        const __m256 x = _mm256_broadcast_ss(a + i * stride);
        sum[i][0] = _mm256_fmadd_ps(x, b0, sum[i][0]);
        sum[i][1] = _mm256_fmadd_ps(x, b1, sum[i][1]);
      }
    }
  }
  LORIKEET_UNROLL
  for (int i = 0; i < R; ++i) {
    LORIKEET_UNROLL
    for (int j = 0; j < 2; ++j) _mm256_storeu_ps(c + i * kPanelColumns + 8 * j, sum[i][j]);
  }
}

template <int R>
void tile_of(int rows, const Segment* s, int count, int64_t column, int64_t step, float* c, bool add) {
  if (rows == R)
    tile<R>(s, count, column, step, c, add);
  else if constexpr (R > 1)
    tile_of<R - 1>(rows, s, count, column, step, c, add);
}

void multiply(const Segment* segments, int count, int64_t rows, int vectors, float* c, bool add) {
  constexpr int kRows = 6;
  const int64_t n = (rows + kRows - 1) / kRows;
  for (int v = 0; v < vectors; ++v) {
    Segment s[kMaxSegments];
    for (int i = 0; i < count; ++i) s[i] = segments[i];
    float* out = c + 16 * v;
    for (int64_t t = 0; t < n; ++t) {
      const int height = static_cast<int>(rows / n + (t < rows % n));
      tile_of<kRows>(height, s, count, 16 * v, 16 * vectors, out, add);
      for (int i = 0; i < count; ++i) s[i].a += height * s[i].a_stride;
      out += height * kPanelColumns;
    }
  }
}

LORIKEET_INLINE __m256 load_floats(const char* p, int64_t n) { return load_some(Element::f32, p, n); }

void pack_columns(const char* const* rows, int n, int64_t k, char* panel, int64_t panel_stride) {
  for (int half = 0; half < 2; ++half)
    for (int64_t first = 0; first < k; first += 8) {
      const int64_t left = k - first;
      __m256 r[8];
      for (int i = 0; i < 8; ++i)
        r[i] = 8 * half + i < n ? load_floats(rows[8 * half + i] + 4 * first, left) : _mm256_setzero_ps();
      transpose8(r);
      for (int i = 0; i < smaller(8, left); ++i)
        _mm256_storeu_ps(reinterpret_cast<float*>(panel + (first + i) * panel_stride) + 8 * half, r[i]);
    }
}

void pack_rows(const char* const* rows, int n, int cols, char* panel, int64_t panel_stride) {
  for (int i = 0; i < n; ++i, panel += panel_stride)
    for (int j = 0; j < (cols + 15) / 16 * 16; j += 8)
      _mm256_storeu_ps(reinterpret_cast<float*>(panel) + j,
                       j < cols ? load_floats(rows[i] + 4 * j, cols - j) : _mm256_setzero_ps());
}

void convert(Element from, const char* in, int64_t n, char* out) {
  const int64_t size = from == Element::f32 ? 4 : 2;
  for (int64_t i = 0; i < n; i += 8)
    store_some(Element::f32, out + i * 4, n - i, load_some(from, in + i * size, n - i));
}

/// Looks up 16 floats by the low 4 bits of each lane.
LORIKEET_INLINE __m256 look_up(__m256 low, __m256 high, __m256i index) {
  const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));  // bit 3 to the sign
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index), upper);
}

void decode_bnb4(const Codes& w, int64_t row, int64_t first, int64_t n, char* out) {
  const __m256 low = _mm256_loadu_ps(w.code), high = _mm256_loadu_ps(w.code + 8);
  const int64_t flat = row * w.cols + first;
  for (int64_t k = 0; k < n; k += 64) {
    const __m256 scale = _mm256_set1_ps(bnb4_scale(w, flat + k));
    for (int64_t i = k; i < k + 64; i += 16) {
      const __m256i b =
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(w.data + (flat + i) / 2)));
      const __m256 even = _mm256_mul_ps(look_up(low, high, _mm256_srli_epi32(b, 4)), scale);
      const __m256 odd = _mm256_mul_ps(look_up(low, high, b), scale);
      const __m256 x = _mm256_unpacklo_ps(even, odd), y = _mm256_unpackhi_ps(even, odd);
      float* p = reinterpret_cast<float*>(out) + i;
      _mm256_storeu_ps(p, _mm256_permute2f128_ps(x, y, 0x20));
      _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(x, y, 0x31));
    }
  }
}

void finish(const float* c, int64_t rows, int cols, const Finish& f) {
  const int64_t out_size = f.out_type == Element::f32 ? 4 : 2, add_size = f.add_type == Element::f32 ? 4 : 2;
  const __m256 scale = _mm256_set1_ps(f.scale);
  for (int64_t i = 0; i < rows; ++i)
    for (int j = 0; j < cols; j += 8) {
      const int n = cols - j;
      __m256 x = _mm256_loadu_ps(c + i * kPanelColumns + j);
      if (f.scale != 1) x = _mm256_mul_ps(x, scale);
      if (f.bias) x = _mm256_add_ps(x, load_floats(reinterpret_cast<const char*>(f.bias + j), n));
      if (f.add) x = _mm256_add_ps(x, load_some(f.add_type, f.add + i * f.add_stride + j * add_size, n));
      store_some(f.out_type, f.out + i * f.out_stride + j * out_size, n, x);
    }
}

void transpose(int element_bytes, const char* in, int64_t in_stride, int64_t rows, int64_t cols, char* out,
               int64_t out_stride) {
  if (element_bytes == 2) {
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t i = 0; i < rows; ++i)
        __builtin_memcpy(out + j * out_stride + 2 * i, in + i * in_stride + 2 * j, 2);
    return;
  }
  for (int64_t i = 0; i < rows; i += 8)
    for (int64_t j = 0; j < cols; j += 8) {
      const int64_t height = smaller(8, rows - i), width = smaller(8, cols - j);
      __m256 r[8];
      for (int64_t x = 0; x < 8; ++x)
        r[x] = x < height ? load_floats(in + (i + x) * in_stride + 4 * j, width) : _mm256_setzero_ps();
      transpose8(r);
      for (int64_t x = 0; x < width; ++x)
        store_some(Element::f32, out + (j + x) * out_stride + 4 * i, height, r[x]);
    }
}

}  // namespace
}  // namespace lorikeet::simd
