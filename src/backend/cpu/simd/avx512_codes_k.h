#pragma once
// The super-blocks of 256 elements of avx512_codes.h.
#include "backend/cpu/simd/avx512_codes.h"

namespace lorikeet::simd {
namespace {

/// 64 or, at the end of a panel, 32 bytes.
LORIKEET_INLINE __m512i load_bytes(const uint8_t* p, bool whole) {
  return whole ? _mm512_loadu_si512(p)
               : _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

template <bool kMore>
struct SixBitRows {
  /// d and dmin, then the packed scales and minima: the first 16 bytes of a super-block.
  alignas(64) uint32_t start[4][16] = {};
  int part0 = 0;  ///< of the super-block, the tile's first
};
template <>
struct SixBitRows<true> : SixBitRows<false> {
  __m512i more[16] = {};
};

/// Two parts of a super-block: 32 bytes whose low and high nibbles have scales of their own; with kHighAt,
/// the fifth bits of part p are bits 2 p (low nibbles) and 2 p + 1 of the 32 bytes there.
template <class Format, int kCodesAt, int kHighAt = 0>
struct SixBitScaleCodes {
  static constexpr int64_t kTile = 128, kPart = 64;
  using Rows = SixBitRows<kHighAt != 0>;
  explicit SixBitScaleCodes(const Codes&) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Format>(w, row, first) + kCodesAt + first % Format::kElements / 2;
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t columns, int i,
                                      Rows& rows) {
    const uint8_t* b = block_at<Format>(w, row, first);
    rows.part0 = static_cast<int>(first % Format::kElements / kPart);
    LORIKEET_UNROLL
    for (int k = 0; k < 4; ++k) put(&rows.start[k][i], four_bytes(b + 4 * k));
    if constexpr (kHighAt != 0) rows.more[i] = load_bytes(b + kHighAt, false);
    return load_bytes(at(w, row, first), columns == kTile);
  }
  /// Scale (word 1) or minimum (word 2) j of all rows; see six_bit() for where its bits lie.
  static LORIKEET_INLINE __m512 six_bits(const Rows& rows, int word, int j) {
    const auto right = [&](int k, int shift) {
      return _mm512_srlv_epi32(_mm512_load_si512(rows.start[k]), _mm512_set1_epi32(shift));
    };
    if (j < 4) return _mm512_cvtepi32_ps(_mm512_and_si512(right(word, 8 * j), _mm512_set1_epi32(63)));
    const __m512i low = _mm512_and_si512(right(3, 8 * (j - 4) + 4 * (word - 1)), _mm512_set1_epi32(15));
    return _mm512_cvtepi32_ps(_mm512_ternarylogic_epi32(right(word, 8 * (j - 4) + 2), _mm512_set1_epi32(0x30),
                                                        low, 0xea));  // (a & 0x30) | low
  }
  template <int kHigh, class F>
  LORIKEET_INLINE void half(const __m512i* codes, const Rows& rows, int part, const F& f) const {
    const int p = rows.part0 + part;
    const __m512 d = _mm512_mul_ps(low_halves(rows.start[0]), six_bits(rows, 1, 2 * p + kHigh));
    const __m512 m = _mm512_mul_ps(high_halves(rows.start[0]), six_bits(rows, 2, 2 * p + kHigh));
    const __m512 scale[2] = {scaled_down(d, 4 * kHigh), scaled_down(d, 4 * kHigh + 8)};
    const auto value = [&](__m512 q, int shift, int) { return _mm512_fmsub_ps(q, scale[shift / 8], m); };
    if constexpr (kHighAt != 0) {
      nibbles<kHigh, 8, 0>(codes, high_bits<1>([&](int c, int u, int) {
                             return moved(rows.more[c], 16 * u + 2 * p + kHigh, 4 * kHigh + 4);
                           }),
                           value, f);
    } else {
      nibbles<kHigh, 8, 0>(codes, NoHighBits{}, value, f);
    }
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* tile, const Rows& rows, int part, const F& f) const {
    half<0>(tile + 8 * part, rows, part, f);
    half<1>(tile + 8 * part, rows, part, [&](int u, __m512i unit) { f(16 + u, unit); });
  }
};
using Q4_KCodes = SixBitScaleCodes<Q4_K, 16>;
using Q5_KCodes = SixBitScaleCodes<Q5_K, 48, 16>;

/// Half a super-block: the low nibbles of 64 bytes are its first 64 elements, the high ones the others; the
/// two bits above quarter j are bits 2 j of 32 bytes; 16 elements share a scale.
struct Q6_KCodes {
  static constexpr int64_t kTile = 128, kPart = 64;
  struct Rows {
    alignas(64) uint32_t scales[2][16] = {};  ///< four bytes, those of a part
    alignas(64) uint32_t end[16] = {};        ///< d is the high half
    __m512i more[16] = {};
    int part0 = 0;
  };
  explicit Q6_KCodes(const Codes&) {}
  static LORIKEET_INLINE const uint8_t* at(const Codes& w, int64_t row, int64_t first) {
    return block_at<Q6_K>(w, row, first) + first % Q6_K::kElements / kTile * 64;
  }
  static LORIKEET_INLINE __m512i load(const Codes& w, int64_t row, int64_t first, int64_t, int i,
                                      Rows& rows) {
    const uint8_t* b = block_at<Q6_K>(w, row, first);
    const int64_t tile = first % Q6_K::kElements / kTile;
    rows.part0 = static_cast<int>(first % kTile / kPart);
    for (int part = 0; part < 2; ++part)
      put(&rows.scales[part][i], four_bytes(b + 192 + 8 * tile + 4 * part));
    put(&rows.end[i], four_bytes(b + 206));
    rows.more[i] = load_bytes(b + 128 + 32 * tile, false);
    return _mm512_loadu_si512(b + 64 * tile);
  }
  template <int kHigh, class F>
  LORIKEET_INLINE void half(const __m512i* tile, const Rows& rows, const F& f) const {
    const __m512 d = high_halves(rows.end);
    const __m512i bytes = _mm512_load_si512(rows.scales[kHigh]);
    __m512 scale[4][2];
    LORIKEET_UNROLL
    for (int g = 0; g < 4; ++g) {
      const __m512i signed_byte = _mm512_srai_epi32(_mm512_slli_epi32(bytes, 24 - 8 * g), 24);
      const __m512 s = _mm512_mul_ps(d, _mm512_cvtepi32_ps(signed_byte));
      scale[g][0] = scaled_down(s, 4 * kHigh);
      scale[g][1] = scaled_down(s, 4 * kHigh + 8);
    }
    nibbles<kHigh, 16, 32>(
        tile, high_bits<2>([&](int c, int u, int) {
          return moved(rows.more[c % 8], 16 * u + 4 * kHigh + 2 * (c / 8), 4 * kHigh + 4);
        }),
        [&](__m512 q, int shift, int c) { return _mm512_mul_ps(q, scale[c / 4][shift / 8]); }, f);
  }
  template <class F>
  LORIKEET_INLINE void units(const __m512i* tile, const Rows& rows, int part, const F& f) const {
    if (rows.part0 + part == 0)
      half<0>(tile, rows, f);
    else
      half<1>(tile, rows, f);
  }
};

}  // namespace
}  // namespace lorikeet::simd
