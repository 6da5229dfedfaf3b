#pragma once
// The AVX-512 micro-kernel and packs, for both element types.
#include "backend/cpu/simd/avx512_basics.h"

namespace lorikeet::simd {
namespace {

/// R rows x V vectors of sums, all in registers.
template <class Dot, int R, int V>
void tile(const Segment* segments, int count, float* c, bool add) {
  __m512 sum[R][V];
  LORIKEET_UNROLL
  for (int i = 0; i < R; ++i) {
    LORIKEET_UNROLL
    for (int j = 0; j < V; ++j)
      sum[i][j] = add ? _mm512_loadu_ps(c + i * kPanelColumns + 16 * j) : _mm512_setzero_ps();
  }
  for (const Segment* s = segments; s != segments + count; ++s) {
    const char* a = s->a;
    const char* b = s->b;
    const int64_t stride = s->a_stride;
    for (const char* end = b + s->units * V * 64; b != end; b += V * 64, a += 4) {
      __m512i bv[V];
      LORIKEET_UNROLL
      for (int j = 0; j < V; ++j) bv[j] = _mm512_loadu_si512(b + 64 * j);
      LORIKEET_UNROLL
      for (int i = 0; i < R; ++i) {
        const __m512i x = broadcast_unit(a + i * stride);
        LORIKEET_UNROLL
        for (int j = 0; j < V; ++j) sum[i][j] = Dot::add(sum[i][j], x, bv[j]);
      }
    }
  }
  LORIKEET_UNROLL
  for (int i = 0; i < R; ++i) {
    LORIKEET_UNROLL
    for (int j = 0; j < V; ++j) _mm512_storeu_ps(c + i * kPanelColumns + 16 * j, sum[i][j]);
  }
}

template <class Dot, int R, int V>
void tile_of(int rows, const Segment* s, int count, float* c, bool add) {
  if (rows == R)
    tile<Dot, R, V>(s, count, c, add);
  else if constexpr (R > 1)
    tile_of<Dot, R - 1, V>(rows, s, count, c, add);
}

/// Splits the rows into tiles of even height, at most R: a ragged last tile would run below the others' rate.
template <class Dot, int R, int V>
void tiles(const Segment* segments, int count, int64_t rows, float* c, bool add) {
  Segment s[kMaxSegments];
  for (int i = 0; i < count; ++i) s[i] = segments[i];
  const int64_t n = (rows + R - 1) / R;
  for (int64_t t = 0; t < n; ++t) {
    const int height = static_cast<int>(rows / n + (t < rows % n));
    tile_of<Dot, R, V>(height, s, count, c, add);
    for (int i = 0; i < count; ++i) s[i].a += height * s[i].a_stride;
    c += height * kPanelColumns;
  }
}

template <class Dot>
void multiply(const Segment* s, int count, int64_t rows, int vectors, float* c, bool add) {
  switch (vectors) {
    case 1:
      return tiles<Dot, 14, 1>(s, count, rows, c, add);
    case 2:
      return tiles<Dot, 12, 2>(s, count, rows, c, add);
    case 3:
      return tiles<Dot, 8, 3>(s, count, rows, c, add);
    default:
      return tiles<Dot, 6, 4>(s, count, rows, c, add);
  }
}

template <int kUnit>
LORIKEET_INLINE __m512i load_units(const char* p, int64_t elements) {
  if constexpr (kUnit == 1)
    return _mm512_maskz_loadu_epi32(first_lanes(elements), p);
  else
    return _mm512_maskz_loadu_epi16(first_halves(elements), p);
}

template <int kUnit>
void pack_columns(const char* const* rows, int n, int64_t k, char* panel, int64_t panel_stride) {
  constexpr int64_t kStep = 16 * kUnit;
  for (int64_t first = 0; first < k; first += kStep) {
    const int64_t left = k - first;
    __m512i r[16];
    if (n == 16 && left >= kStep) {
      LORIKEET_UNROLL
      for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(rows[i] + first * (4 / kUnit));
    } else {
      for (int i = 0; i < 16; ++i)
        r[i] = i < n ? load_units<kUnit>(rows[i] + first * (4 / kUnit), left) : _mm512_setzero_si512();
    }
    transpose16(r);
    const int64_t units = smaller(16, (left + kUnit - 1) / kUnit);
    if (units == 16) {
      LORIKEET_UNROLL
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(panel + i * panel_stride, r[i]);
    } else {
      for (int i = 0; i < units; ++i) _mm512_storeu_si512(panel + i * panel_stride, r[i]);
    }
    panel += 16 * panel_stride;
  }
}

template <int kUnit>
void pack_rows(const char* const* rows, int n, int cols, char* panel, int64_t panel_stride) {
  if constexpr (kUnit == 1) {
    for (int i = 0; i < n; ++i, panel += panel_stride)
      for (int j = 0; j < cols; j += 16)
        _mm512_storeu_ps(panel + 4 * j, load_some(Element::f32, rows[i] + 4 * j, cols - j));
  } else {
    const __m512i low = interleave_low(), high = interleave_high();
    for (int i = 0; i < n; i += 2, panel += panel_stride) {
      const bool pair = i + 1 < n;
      for (int j = 0; j < cols; j += 32) {
        const __m512i a = load_halves(rows[i] + 2 * j, cols - j);
        const __m512i b = pair ? load_halves(rows[i + 1] + 2 * j, cols - j) : _mm512_setzero_si512();
        _mm512_storeu_si512(panel + 4 * j, _mm512_permutex2var_epi16(a, low, b));
        if (j + 16 < cols) _mm512_storeu_si512(panel + 4 * j + 64, _mm512_permutex2var_epi16(a, high, b));
      }
    }
  }
}

/// Adds the units of 16 columns, in registers, to R rows of sums.
template <class Dot, int R>
struct FewSums {
  __m512 sum[R];
  FewSums(const float* c, bool add) {
    for (int i = 0; i < R; ++i) sum[i] = add ? _mm512_loadu_ps(c + i * kPanelColumns) : _mm512_setzero_ps();
  }
  LORIKEET_INLINE void add(const char* a, int64_t a_stride, __m512i unit) {
    LORIKEET_UNROLL
    for (int i = 0; i < R; ++i) sum[i] = Dot::add(sum[i], broadcast_unit(a + i * a_stride), unit);
  }
  void store(float* c) const {
    for (int i = 0; i < R; ++i) _mm512_storeu_ps(c + i * kPanelColumns, sum[i]);
  }
};

/// Calls f with the number of rows as a compile-time constant.
template <int R = kFewRows, class F>
LORIKEET_INLINE void with_rows(int rows, const F& f) {
  if (rows == R)
    f.template operator()<R>();
  else if constexpr (R > 1)
    with_rows<R - 1>(rows, f);
}

template <class Dot, int kUnit>
void few_dense(const char* const* weights, int n, int64_t k, const char* a, int64_t a_stride, int rows,
               float* c, bool add, int64_t ahead) {
  with_rows(rows, [&]<int R>() {
    FewSums<Dot, R> sums(c, add);
    constexpr int64_t kStep = 16 * kUnit;
    for (int64_t first = 0; first < k; first += kStep) {
      const int64_t left = k - first, at = first * (4 / kUnit);
      __m512i r[16];
      if (ahead)
        for (int i = 0; i < n; ++i) __builtin_prefetch(weights[i] + at + ahead, 0, 2);
      if (n == 16 && left >= kStep) {
        LORIKEET_UNROLL
        for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(weights[i] + at);
        transpose16(r);
        LORIKEET_UNROLL
        for (int u = 0; u < 16; ++u) sums.add(a + at + 4 * u, a_stride, r[u]);
      } else {
        for (int i = 0; i < 16; ++i)
          r[i] = i < n ? load_units<kUnit>(weights[i] + at, left) : _mm512_setzero_si512();
        transpose16(r);
        for (int u = 0; u < smaller(16, left / kUnit); ++u) sums.add(a + at + 4 * u, a_stride, r[u]);
      }
    }
    sums.store(c);
  });
}

template <Element kTo>
void convert(Element from, const char* in, int64_t n, char* out) {
  constexpr int64_t kSize = kTo == Element::f32 ? 4 : 2;
  const int64_t size = from == Element::f32 ? 4 : 2;
  for (int64_t i = 0; i < n; i += 16)
    store_some(kTo, out + i * kSize, n - i, load_some(from, in + i * size, n - i));
}

void finish(const float* c, int64_t rows, int cols, const Finish& f) {
  const int64_t out_size = f.out_type == Element::f32 ? 4 : 2, add_size = f.add_type == Element::f32 ? 4 : 2;
  const __m512 scale = _mm512_set1_ps(f.scale);
  for (int64_t i = 0; i < rows; ++i)
    for (int j = 0; j < cols; j += 16) {
      const int n = cols - j;
      __m512 x = _mm512_loadu_ps(c + i * kPanelColumns + j);
      if (f.scale != 1) x = _mm512_mul_ps(x, scale);
      if (f.bias) x = _mm512_add_ps(x, load_some(Element::f32, reinterpret_cast<const char*>(f.bias + j), n));
      if (f.add) x = _mm512_add_ps(x, load_some(f.add_type, f.add + i * f.add_stride + j * add_size, n));
      store_some(f.out_type, f.out + i * f.out_stride + j * out_size, n, x);
    }
}

void transpose_f32(const char* in, int64_t in_stride, int64_t rows, int64_t cols, char* out,
                   int64_t out_stride) {
  for (int64_t i = 0; i < rows; i += 16)
    for (int64_t j = 0; j < cols; j += 16) {
      const int64_t height = smaller(16, rows - i), width = smaller(16, cols - j);
      __m512i r[16];
      for (int64_t x = 0; x < 16; ++x)
        r[x] = x < height
                   ? _mm512_castps_si512(load_some(Element::f32, in + (i + x) * in_stride + 4 * j, width))
                   : _mm512_setzero_si512();
      transpose16(r);
      for (int64_t x = 0; x < width; ++x)
        store_some(Element::f32, out + (j + x) * out_stride + 4 * i, height, _mm512_castsi512_ps(r[x]));
    }
}

/// Pairs of columns are transposed as units; then the halves of each unit go to two rows.
void transpose_16bit(const char* in, int64_t in_stride, int64_t rows, int64_t cols, char* out,
                     int64_t out_stride) {
  alignas(64) static constexpr uint16_t kEven[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                                     22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42,
                                                     44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
  const __m512i even = _mm512_load_si512(kEven), odd = _mm512_add_epi16(even, _mm512_set1_epi16(1));
  for (int64_t i = 0; i < rows; i += 32)
    for (int64_t j = 0; j < cols; j += 32) {
      const int64_t height = smaller(32, rows - i), width = smaller(32, cols - j);
      __m512i r[16], s[16];
      for (int64_t x = 0; x < 16; ++x) {
        const char* p = in + (i + x) * in_stride + 2 * j;
        r[x] = x < height ? load_halves(p, width) : _mm512_setzero_si512();
        s[x] = x + 16 < height ? load_halves(p + 16 * in_stride, width) : _mm512_setzero_si512();
      }
      transpose16(r);
      transpose16(s);
      for (int64_t x = 0; x < width; ++x)
        store_halves(out + (j + x) * out_stride + 2 * i, height,
                     _mm512_permutex2var_epi16(r[x / 2], x % 2 ? odd : even, s[x / 2]));
    }
}

void transpose(int element_bytes, const char* in, int64_t in_stride, int64_t rows, int64_t cols, char* out,
               int64_t out_stride) {
  if (element_bytes == 2)
    transpose_16bit(in, in_stride, rows, cols, out, out_stride);
  else
    transpose_f32(in, in_stride, rows, cols, out, out_stride);
}

}  // namespace
}  // namespace lorikeet::simd
