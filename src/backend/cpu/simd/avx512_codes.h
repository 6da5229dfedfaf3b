#pragma once
// Units of a product straight from quantized rows, for AVX-512 with bf16 pairs: the codes of 16 rows are
// transposed before they are decoded, so a quarter (4 bits) or half (8 bits) of the shuffles is left, and the
// scales are vectors with one lane a row. Values are those of the row decoders to the last bit: where a
// product of code and scale is added to something, the product is exact in f32, so one fused operation rounds
// as two do.
#include "backend/cpu/simd/avx512_panel.h"
#include "backend/cpu/simd/bnb4_scale.h"
#include "backend/cpu/simd/decode_gguf.h"

namespace lorikeet::simd {
namespace {

/// (even, odd) -> 16 pairs of bf16.
LORIKEET_INLINE __m512i pair_up(__m512 even, __m512 odd) {
  alignas(64) static constexpr uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                     21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                     11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

LORIKEET_INLINE __m512i quarter(__m512i r, int at, const uint8_t* p) {
  const __m512i x = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm512_mask_mov_epi32(r, static_cast<__mmask16>(0xf << (4 * at)), x);
}
LORIKEET_INLINE __m512i two_halves(const uint8_t* low, const uint8_t* high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low))),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high)), 1);
}

/// One lane a row, from 16-bit floats.
LORIKEET_INLINE __m512 half_lanes(const uint16_t* bits) {
  return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(bits)));
}
inline uint16_t half_bits(const uint8_t* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, 2);
  return bits;
}

/// The block that holds column `first` of a row.
template <class Format>
LORIKEET_INLINE const uint8_t* block_at(const Codes& w, int64_t row, int64_t first) {
  return w.data + row * w.row_bytes + first / Format::kElements * Format::kBytes;
}

// A format gives: kTile columns at a time, 64 bytes of codes a row; kPart columns that share their scales;
// at(), where the codes lie; load() of a row's codes and scales into lane i; Scale, the vectors of a part;
// units(), the units of a part in order. Codes of a part lie in 64 / (kTile / kPart) bytes, that many
// quarters of the transposed vectors.

/// 4-bit codes, high nibble first: bitsandbytes.
struct Bnb4Codes {
  static constexpr int64_t kTile = 128, kPart = 64;
  struct Rows {
    alignas(64) float scale[2][16] = {};
  };
  __m512 code;
  explicit Bnb4Codes(const Codes& w) : code(_mm512_loadu_ps(w.code)) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return w.data + (row * w.cols + first) / 2;
  }
  /// `columns` is kTile or, at the end of a row, half of it.
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const int64_t flat = row * w.cols + first;
    const uint8_t* codes = at(w, row, first);
    rows.scale[0][i] = bnb4_scale(w, flat);
    if (columns < kTile)
      return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
    rows.scale[1][i] = bnb4_scale(w, flat + kPart);
    return _mm512_loadu_si512(codes);
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* codes, const Rows& rows, int part, const F& f) const {
    const __m512 scale = _mm512_load_ps(rows.scale[part]);
    LORIKEET_UNROLL
    for (int c = 0; c < 8; ++c) {
      LORIKEET_UNROLL
      for (int u = 0; u < 4; ++u) {
        const __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(codes[c], 8 * u + 4), code);
        const __m512 odd = _mm512_permutexvar_ps(_mm512_srli_epi32(codes[c], 8 * u), code);
        f(4 * c + u, pair_up(_mm512_mul_ps(even, scale), _mm512_mul_ps(odd, scale)));
      }
    }
  }
};

/// Low nibbles of `bytes` bytes are the first elements of a part, high ones the others.
template <int kBytes, class Value, class F>
LORIKEET_INLINE void split_nibbles(const __m512i* codes, const Value& value, const F& f) {
  LORIKEET_UNROLL
  for (int high = 0; high < 2; ++high) {
    LORIKEET_UNROLL
    for (int c = 0; c < kBytes / 4; ++c) {
      LORIKEET_UNROLL
      for (int u = 0; u < 2; ++u)
        f(high * kBytes / 2 + 2 * c + u,
          pair_up(value(_mm512_srli_epi32(codes[c], 16 * u + 4 * high), high),
                  value(_mm512_srli_epi32(codes[c], 16 * u + 8 + 4 * high), high)));
    }
  }
}
/// x[i] = i + first for the 16 codes of 4 bits; a look-up reads only the low 4 bits of a lane.
LORIKEET_INLINE __m512 code_values(float first) {
  return _mm512_add_ps(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                       _mm512_set1_ps(first));
}

/// Four blocks of 32 elements with 16 bytes of codes at kCodesAt.
template <class Format, int kCodesAt, bool kMinimum>
struct NibbleCodes {
  static constexpr int64_t kTile = 128, kPart = 32;
  struct Rows {
    alignas(64) uint16_t scale[4][16] = {}, minimum[4][16] = {};
  };
  __m512 code;
  explicit NibbleCodes(const Codes&) : code(code_values(kMinimum ? 0 : -8)) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Format>(w, row, first);
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const uint8_t* b = at(w, row, first);
    __m512i r = _mm512_setzero_si512();
    for (int part = 0; part < columns / kPart; ++part, b += Format::kBytes) {
      rows.scale[part][i] = half_bits(b);
      if (kMinimum) rows.minimum[part][i] = half_bits(b + 2);
      r = quarter(r, part, b + kCodesAt);
    }
    return r;
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* codes, const Rows& rows, int part, const F& f) const {
    const __m512 d = half_lanes(rows.scale[part]), m = half_lanes(rows.minimum[part]);
    split_nibbles<16>(
        codes,
        [&](__m512i x, int) {
          const __m512 q = _mm512_permutexvar_ps(x, code);
          return kMinimum ? _mm512_fmadd_ps(q, d, m) : _mm512_mul_ps(q, d);
        },
        f);
  }
};
using Q4_0Codes = NibbleCodes<Q4_0, 2, false>;
using Q4_1Codes = NibbleCodes<Q4_1, 4, true>;

struct Q8_0Codes {
  static constexpr int64_t kTile = 64, kPart = 32;
  struct Rows {
    alignas(64) uint16_t scale[2][16] = {};
  };
  explicit Q8_0Codes(const Codes&) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Q8_0>(w, row, first);
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const uint8_t* b = at(w, row, first);
    rows.scale[0][i] = half_bits(b);
    if (columns < kTile)
      return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 2)));
    rows.scale[1][i] = half_bits(b + Q8_0::kBytes);
    return two_halves(b + 2, b + Q8_0::kBytes + 2);
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* codes, const Rows& rows, int part, const F& f) const {
    const __m512 d = half_lanes(rows.scale[part]);
    const auto value = [&](__m512i x) {
      return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srai_epi32(x, 24)), d);
    };
    LORIKEET_UNROLL
    for (int c = 0; c < 8; ++c) {
      const __m512i x = codes[c];
      f(2 * c, pair_up(value(_mm512_slli_epi32(x, 24)), value(_mm512_slli_epi32(x, 16))));
      f(2 * c + 1, pair_up(value(_mm512_slli_epi32(x, 8)), value(x)));
    }
  }
};

/// Two parts of a super-block: 32 bytes whose low and high nibbles have scales of their own.
struct Q4_KCodes {
  static constexpr int64_t kTile = 128, kPart = 64;
  struct Rows {
    alignas(64) float scale[2][2][16] = {}, minimum[2][2][16] = {};
  };
  __m512 code;
  explicit Q4_KCodes(const Codes&) : code(code_values(0)) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Q4_K>(w, row, first) + 16 + first % Q4_K::kElements / 2;
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const uint8_t* b = block_at<Q4_K>(w, row, first);
    const int part0 = static_cast<int>(first % Q4_K::kElements / kPart);
    const float d = half_at(b), dmin = half_at(b + 2);
    for (int part = 0; part < columns / kPart; ++part)
      for (int high = 0; high < 2; ++high) {
        const SixBit s = six_bit(b + 4, 2 * (part0 + part) + high);
        rows.scale[part][high][i] = d * s.scale;
        rows.minimum[part][high][i] = dmin * s.minimum;
      }
    const uint8_t* codes = at(w, row, first);
    if (columns < kTile)
      return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
    return _mm512_loadu_si512(codes);
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* codes, const Rows& rows, int part, const F& f) const {
    const __m512 d[2] = {_mm512_load_ps(rows.scale[part][0]), _mm512_load_ps(rows.scale[part][1])};
    const __m512 m[2] = {_mm512_load_ps(rows.minimum[part][0]), _mm512_load_ps(rows.minimum[part][1])};
    split_nibbles<32>(
        codes,
        [&](__m512i x, int high) {
          return _mm512_fmsub_ps(_mm512_permutexvar_ps(x, code), d[high], m[high]);
        },
        f);
  }
};

/// Calls f(unit index, 16 columns of the unit) for the columns [first, first + k) of 16 rows, in order;
/// rows from n on are zero. Asks the cache for the codes `ahead` bytes further on, if it is not 0.
template <class Format, class F>
LORIKEET_INLINE void for_each_unit(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k,
                                   int64_t ahead, const F& f) {
  constexpr int kParts = Format::kTile / Format::kPart;
  const Format format(w);
  for (int64_t done = 0; done < k;) {
    const int64_t columns = smaller(Format::kTile - (first + done) % Format::kTile, k - done);
    typename Format::Rows scales;
    __m512i r[16];
    if (n == 16 && columns == Format::kTile) {
      LORIKEET_UNROLL
      for (int i = 0; i < 16; ++i) r[i] = Format::load(w, rows[i], first + done, Format::kTile, i, scales);
    } else {
      for (int i = 0; i < 16; ++i)
        r[i] = i < n ? Format::load(w, rows[i], first + done, columns, i, scales) : _mm512_setzero_si512();
    }
    if (ahead)
      for (int i = 0; i < n; ++i) __builtin_prefetch(Format::at(w, rows[i], first + done) + ahead, 0, 2);
    transpose16(r);
    for (int part = 0; part < columns / Format::kPart; ++part)
      format.units(r + 16 / kParts * part, scales, part,
                   [&](int u, __m512i unit) { f((done + part * Format::kPart) / 2 + u, unit); });
    done += columns;
  }
}

template <class Format>
void pack_codes(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k, char* panel,
                int64_t panel_stride) {
  for_each_unit<Format>(w, rows, n, first, k, 0, [=](int64_t u, __m512i unit) {
    _mm512_storeu_si512(panel + u * panel_stride, unit);
  });
}

template <class Format>
void few_codes(const Codes& w, const int32_t* weights, int n, int64_t k, const char* a, int64_t a_stride,
               int rows, float* c, bool add, int64_t ahead) {
  with_rows(rows, [&]<int R>() {
    FewSums<DotBf16, R> sums(c, add);
    for_each_unit<Format>(w, weights, n, 0, k, ahead,
                          [&](int64_t u, __m512i unit) { sums.add(a + 4 * u, a_stride, unit); });
    sums.store(c);
  });
}

template <class Format>
constexpr CodeOps code_ops() {
  return {pack_codes<Format>, few_codes<Format>};
}

}  // namespace
}  // namespace lorikeet::simd
