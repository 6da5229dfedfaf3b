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

/// A lane of a vector in memory. The barrier keeps the compiler from collecting lanes in registers, which
/// takes three times as many instructions.
template <class T>
LORIKEET_INLINE void put(T* lane, T value) {
  __asm__("" : "+r"(value));
  *lane = value;
}
LORIKEET_INLINE uint32_t four_bytes(const uint8_t* p) {
  uint32_t x;
  __builtin_memcpy(&x, p, 4);
  return x;
}
/// The low or high half of each lane, a 16-bit float.
LORIKEET_INLINE __m512 low_halves(const uint32_t* lanes) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_load_si512(lanes)));
}
LORIKEET_INLINE __m512 high_halves(const uint32_t* lanes) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_load_si512(lanes), 16)));
}

/// The bits of `mask`, all below bit 23, and those of `more`, as a number: exact, and without a shift, a
/// conversion or a look-up. `zero` is 2^23 plus the number that stands for 0.
LORIKEET_INLINE __m512 field(__m512i x, int mask, __m512i more, float zero) {
  const __m512i number =
      _mm512_ternarylogic_epi32(x, _mm512_set1_epi32(mask), more, 0xea);  // (x & mask) | more
  return _mm512_sub_ps(_mm512_castsi512_ps(number), _mm512_set1_ps(zero));
}
LORIKEET_INLINE __m512i field_start() { return _mm512_set1_epi32(0x4b000000); }  // 2^23
constexpr float kFieldZero = 8388608;
/// A scale for fields that begin at bit `shift`: an exact product.
LORIKEET_INLINE __m512 scaled_down(__m512 scale, int shift) {
  return _mm512_mul_ps(scale, _mm512_set1_ps(1.0f / static_cast<float>(1 << shift)));
}

/// The block that holds column `first` of a row.
template <class Format>
LORIKEET_INLINE const uint8_t* block_at(const Codes& w, int64_t row, int64_t first) {
  return w.data + row * w.row_bytes + first / Format::kElements * Format::kBytes;
}

// A format gives: kTile columns at a time, 64 bytes of codes a row; kPart columns that are decoded together;
// at(), where the codes lie; load() of a row's codes, returned, and scales, into lane i; units(), the units
// of a part in order, from the transposed codes of the tile. Rows::more, if there is one, are further 64
// bytes a row that are transposed as well.

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
  LORIKEET_INLINE void units(const __m512i* tile, const Rows& rows, int part, const F& f) const {
    const __m512i* codes = tile + 8 * part;
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

/// What stands above the 4 bits of a code: kBits bits of number(c, u, b), already in their place, for byte 2
/// u + b of vector c.
template <int kBits, class Number>
struct HighBits {
  Number number;
  LORIKEET_INLINE __m512i above(int shift, int c, int u, int b) const {
    return _mm512_ternarylogic_epi32(number(c, u, b), _mm512_set1_epi32(((1 << kBits) - 1) << (shift + 4)),
                                     field_start(), 0xea);
  }
};
template <int kBits, class Number>
LORIKEET_INLINE HighBits<kBits, Number> high_bits(const Number& number) {
  return {number};
}
struct NoHighBits {
  LORIKEET_INLINE __m512i above(int, int, int, int) const { return field_start(); }
};

/// The low (kHigh 0) or high nibbles of kVectors vectors of codes, two units a vector. value(field, shift, c)
/// is the element of a field that is its number times 2^shift; kBias is the number that stands for 0.
template <int kHigh, int kVectors, int kBias, class High, class Value, class F>
LORIKEET_INLINE void nibbles(const __m512i* codes, const High& high, const Value& value, const F& f) {
  LORIKEET_UNROLL
  for (int c = 0; c < kVectors; ++c) {
    LORIKEET_UNROLL
    for (int u = 0; u < 2; ++u) {
      const __m512i x = u == 0 ? codes[c] : _mm512_srli_epi32(codes[c], 16);
      const auto element = [&](int b) {
        const int shift = 4 * kHigh + 8 * b;
        return value(field(x, 0xf << shift, high.above(shift, c, u, b),
                           kFieldZero + static_cast<float>(kBias << shift)),
                     shift, c);
      };
      f(2 * c + u, pair_up(element(0), element(1)));
    }
  }
}
/// Moves bit `from` to bit `to`.
LORIKEET_INLINE __m512i moved(__m512i x, int from, int to) {
  return _mm512_rolv_epi32(x, _mm512_set1_epi32((to - from) & 31));
}

/// Four blocks of 32 elements: 16 bytes of codes at kCodesAt whose low nibbles are the first 16 elements, and
/// the fifth bits of all in 4 bytes at kHighAt, if that is not 0.
template <class Format, int kCodesAt, bool kMinimum, int kHighAt = 0>
struct NibbleCodes {
  static constexpr int64_t kTile = 128, kPart = 32;
  static constexpr int kBias = kMinimum ? 0 : kHighAt ? 16 : 8;
  struct Rows {
    alignas(64) uint32_t start[4][16] = {};  ///< the first bytes of a block: scale, then the minimum if any
    alignas(64) uint32_t high[kHighAt ? 4 : 1][16] = {};
  };
  explicit NibbleCodes(const Codes&) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Format>(w, row, first);
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const uint8_t* b = at(w, row, first);
    __m512i r = _mm512_setzero_si512();
    LORIKEET_UNROLL
    for (int part = 0; part < 4; ++part, b += Format::kBytes) {
      if (part * kPart == columns) break;
      put(&rows.start[part][i], four_bytes(b));
      if constexpr (kHighAt != 0) put(&rows.high[part][i], four_bytes(b + kHighAt));
      r = quarter(r, part, b + kCodesAt);
    }
    return r;
  }
  template <int kHigh, class F>
  LORIKEET_INLINE void half(const __m512i* codes, const Rows& rows, int part, const F& f) const {
    const __m512 scale = low_halves(rows.start[part]), m = high_halves(rows.start[part]);
    const __m512 d[2] = {scaled_down(scale, 4 * kHigh), scaled_down(scale, 4 * kHigh + 8)};
    const auto value = [&](__m512 q, int shift, int) {
      return kMinimum ? _mm512_fmadd_ps(q, d[shift / 8], m) : _mm512_mul_ps(q, d[shift / 8]);
    };
    if constexpr (kHighAt != 0) {
      const __m512i bits = _mm512_load_si512(rows.high[part]);
      nibbles<kHigh, 4, kBias>(codes, high_bits<1>([&](int c, int u, int b) {
                                 return moved(bits, 16 * kHigh + 4 * c + 2 * u + b, 4 * kHigh + 8 * b + 4);
                               }),
                               value, f);
    } else {
      nibbles<kHigh, 4, kBias>(codes, NoHighBits{}, value, f);
    }
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* tile, const Rows& rows, int part, const F& f) const {
    half<0>(tile + 4 * part, rows, part, f);
    half<1>(tile + 4 * part, rows, part, [&](int u, __m512i unit) { f(8 + u, unit); });
  }
};
using Q4_0Codes = NibbleCodes<Q4_0, 2, false>;
using Q4_1Codes = NibbleCodes<Q4_1, 4, true>;
using Q5_0Codes = NibbleCodes<Q5_0, 6, false, 2>;
using Q5_1Codes = NibbleCodes<Q5_1, 8, true, 4>;

struct Q8_0Codes {
  static constexpr int64_t kTile = 64, kPart = 32;
  struct Rows {
    alignas(64) uint32_t start[2][16] = {};  ///< the low halves are scales
  };
  explicit Q8_0Codes(const Codes&) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Q8_0>(w, row, first);
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const uint8_t* b = at(w, row, first);
    put(&rows.start[0][i], four_bytes(b));
    if (columns < kTile)
      return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + 2)));
    put(&rows.start[1][i], four_bytes(b + Q8_0::kBytes));
    return two_halves(b + 2, b + Q8_0::kBytes + 2);
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* tile, const Rows& rows, int part, const F& f) const {
    const __m512i* codes = tile + 8 * part;
    const __m512 d = low_halves(rows.start[part]), d_high = scaled_down(d, 8);
    LORIKEET_UNROLL
    for (int c = 0; c < 8; ++c) {
      const __m512i unsigned_codes = _mm512_xor_si512(codes[c], _mm512_set1_epi8(-128));  // each plus 128
      LORIKEET_UNROLL
      for (int u = 0; u < 2; ++u) {
        const __m512i x = u == 0 ? unsigned_codes : _mm512_srli_epi32(unsigned_codes, 16);
        f(2 * c + u, pair_up(_mm512_mul_ps(field(x, 0xff, field_start(), kFieldZero + 128), d),
                             _mm512_mul_ps(field(x, 0xff00, field_start(), kFieldZero + 128 * 256), d_high)));
      }
    }
  }
};

/// Calls f(transposed codes, scales, columns done before, columns of the tile) for the columns [first, first
/// + k) of 16 rows, in order; rows from n on are zero. With `ahead` the rows lie end to end, and the cache is
/// asked for as many bytes that far on, in their order: a row's part of a tile is no whole number of cache
/// lines.
template <class Format, class F>
LORIKEET_INLINE void for_each_tile(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k,
                                   int64_t ahead, const F& f) {
  const uint8_t* next = Format::at(w, rows[0], first) + ahead;
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
    if (ahead) {
      const int64_t bytes =
          n * (Format::at(w, rows[0], first + done + columns) - Format::at(w, rows[0], first + done));
      for (const uint8_t* end = next + bytes; next < end; next += 64) __builtin_prefetch(next, 0, 2);
    }
    transpose16(r);
    if constexpr (requires { scales.more; }) transpose16(scales.more);
    f(r, scales, done, columns);
    done += columns;
  }
}

/// Calls f(unit index, 16 columns of the unit) in order, otherwise as for_each_tile.
template <class Format, class F>
LORIKEET_INLINE void for_each_unit(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k,
                                   int64_t ahead, const F& f) {
  const Format format(w);
  for_each_tile<Format>(
      w, rows, n, first, k, ahead,
      [&](const __m512i* tile, const typename Format::Rows& scales, int64_t done, int64_t columns)
          __attribute__((always_inline)) {
            for (int part = 0; part < columns / Format::kPart; ++part)
              format.units(tile, scales, part,
                           [&](int u, __m512i unit) { f((done + part * Format::kPart) / 2 + u, unit); });
          });
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

}  // namespace
}  // namespace lorikeet::simd
