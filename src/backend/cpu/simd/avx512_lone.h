#pragma once
// A single row of activations times quantized rows: what one stream of generated tokens consists of. Codes
// become bf16 by one look-up of 16-bit words, two at a time where they lie, and are multiplied unscaled; the
// activations are brought into the codes' order instead, once a product. A third of the instructions of
// `few`, so the memory is the limit.
#include <array>
#include <bit>

#include "backend/cpu/simd/avx512_codes_k.h"

namespace lorikeet::simd {
namespace {

/// Words for the look-up by four bits; what stands above them in the index does not count.
using Words = std::array<uint16_t, 32>;
/// value(nibble) as bf16, of a small integer: exact.
template <class F>
constexpr Words words_of(const F& value) {
  Words words{};
  for (int i = 0; i < 32; ++i)
    words[static_cast<size_t>(i)] =
        static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value(i % 16))) >> 16);
  return words;
}

/// The two elements of each unit of 32 columns, in the order in which the look-ups meet them.
template <class F>
constexpr Words order_of(const F& first_and_distance) {
  Words order{};
  for (size_t u = 0; u < 16; ++u) {
    const auto [first, distance] = first_and_distance(static_cast<int>(u));
    order[2 * u] = static_cast<uint16_t>(first);
    order[2 * u + 1] = static_cast<uint16_t>(first + distance);
  }
  return order;
}
struct UnitElements {
  int first, distance;
};
/// Words of two bytes: elements 4 c and 4 c + 2 in the low bytes of word pair c, 4 c + 1 and 4 c + 3 in the
/// high.
constexpr UnitElements by_bytes(int u) { return {4 * (u / 2) + u % 2, 2}; }

LORIKEET_INLINE __m512i load_words(const Words& words) { return _mm512_loadu_si512(words.data()); }
LORIKEET_INLINE __m512 multiply_add(__m512 sum, const char* pair, __m512i words, __m512i codes) {
  return DotBf16::add(sum, broadcast_unit(pair), _mm512_permutexvar_epi16(codes, words));
}
template <int kShift>
LORIKEET_INLINE __m512i from_bit(__m512i codes) {
  return kShift == 0 ? codes : _mm512_srli_epi32(codes, kShift);
}

// A format gives kOrder and sum(): of one of its parts, scales applied, from the transposed codes of a tile,
// the ordered activations of the part and the sums of their 32 columns.
template <class Format>
struct Lone {};

template <>
struct Lone<Bnb4Codes> {
  static constexpr Words kOrder = order_of([](int u) { return UnitElements{8 * (u / 4) + u % 4, 4}; });
  __m512i words;
  explicit Lone(const Codes& w)
      : words(_mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(w.code)))) {}
  LORIKEET_INLINE __m512 sum(const __m512i* tile, const Bnb4Codes::Rows& rows, int part, const char* pairs,
                             const float*) const {
    __m512 even = _mm512_setzero_ps(), odd = even;
    LORIKEET_UNROLL
    for (int c = 0; c < 8; ++c) {
      const __m512i codes = tile[8 * part + c];
      const char* a = pairs + 16 * c;
      even = multiply_add(even, a, words, from_bit<4>(codes));
      odd = multiply_add(odd, a + 4, words, codes);
      even = multiply_add(even, a + 8, words, from_bit<12>(codes));
      odd = multiply_add(odd, a + 12, words, from_bit<8>(codes));
    }
    return _mm512_mul_ps(_mm512_add_ps(even, odd), _mm512_load_ps(rows.scale[part]));
  }
};

template <class Format, int kCodesAt, bool kMinimum>
struct Lone<NibbleCodes<Format, kCodesAt, kMinimum, 0>> {
  using Codes4 = NibbleCodes<Format, kCodesAt, kMinimum, 0>;
  static constexpr Words kOrder = order_of([](int u) {
    return UnitElements{4 * (u / 4) + u % 2 + 16 * (u / 2 % 2), 2};
  });
  static constexpr Words kWords = words_of([](int q) { return q - Codes4::kBias; });
  explicit Lone(const Codes&) {}
  LORIKEET_INLINE __m512 sum(const __m512i* tile, const typename Codes4::Rows& rows, int part,
                             const char* pairs, const float* sums) const {
    const __m512i words = load_words(kWords);
    __m512 low = _mm512_setzero_ps(), high = low;
    LORIKEET_UNROLL
    for (int c = 0; c < 4; ++c) {
      const __m512i codes = tile[4 * part + c];
      const char* a = pairs + 16 * c;
      low = multiply_add(low, a, words, codes);
      high = multiply_add(high, a + 4, words, from_bit<8>(codes));
      low = multiply_add(low, a + 8, words, from_bit<4>(codes));
      high = multiply_add(high, a + 12, words, from_bit<12>(codes));
    }
    const __m512 both = _mm512_add_ps(low, high), d = low_halves(rows.start[part]);
    if constexpr (!kMinimum) return _mm512_mul_ps(both, d);
    return _mm512_fmadd_ps(both, d, _mm512_mul_ps(high_halves(rows.start[part]), _mm512_set1_ps(sums[0])));
  }
};

/// A signed byte is the sum of its low nibble and 16 times the signed high one.
template <>
struct Lone<Q8_0Codes> {
  static constexpr Words kOrder = order_of(by_bytes);
  static constexpr Words kLow = words_of([](int q) { return q; });
  static constexpr Words kHigh = words_of([](int q) { return 16 * (q < 8 ? q : q - 16); });
  explicit Lone(const Codes&) {}
  LORIKEET_INLINE __m512 sum(const __m512i* tile, const Q8_0Codes::Rows& rows, int part, const char* pairs,
                             const float*) const {
    const __m512i low = load_words(kLow), high = load_words(kHigh);
    __m512 s[4] = {};
    LORIKEET_UNROLL
    for (int c = 0; c < 8; ++c) {
      const __m512i codes = tile[8 * part + c];
      const char* a = pairs + 8 * c;
      s[0] = multiply_add(s[0], a, low, codes);
      s[1] = multiply_add(s[1], a, high, from_bit<4>(codes));
      s[2] = multiply_add(s[2], a + 4, low, from_bit<8>(codes));
      s[3] = multiply_add(s[3], a + 4, high, from_bit<12>(codes));
    }
    return _mm512_mul_ps(_mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])),
                         low_halves(rows.start[part]));
  }
};

template <>
struct Lone<Q4_KCodes> {
  static constexpr Words kOrder = order_of(by_bytes);
  static constexpr Words kWords = words_of([](int q) { return q; });
  explicit Lone(const Codes&) {}
  template <int kHigh>
  LORIKEET_INLINE __m512 half(const __m512i* codes, const Q4_KCodes::Rows& rows, int group, const char* pairs,
                              float activations) const {
    const __m512i words = load_words(kWords);
    __m512 even = _mm512_setzero_ps(), odd = even;
    LORIKEET_UNROLL
    for (int c = 0; c < 8; ++c) {
      even = multiply_add(even, pairs + 8 * c, words, from_bit<4 * kHigh>(codes[c]));
      odd = multiply_add(odd, pairs + 8 * c + 4, words, from_bit<4 * kHigh + 8>(codes[c]));
    }
    const __m512 d = _mm512_mul_ps(low_halves(rows.start[0]), Q4_KCodes::six_bits(rows, 1, group));
    const __m512 m = _mm512_mul_ps(high_halves(rows.start[0]), Q4_KCodes::six_bits(rows, 2, group));
    return _mm512_fmsub_ps(_mm512_add_ps(even, odd), d, _mm512_mul_ps(m, _mm512_set1_ps(activations)));
  }
  LORIKEET_INLINE __m512 sum(const __m512i* tile, const Q4_KCodes::Rows& rows, int part, const char* pairs,
                             const float* sums) const {
    const int group = 2 * (rows.part0 + part);
    return _mm512_add_ps(half<0>(tile + 8 * part, rows, group, pairs, sums[0]),
                         half<1>(tile + 8 * part, rows, group + 1, pairs + 64, sums[1]));
  }
};

template <class Format>
void lone_codes(const Codes& w, const int32_t* weights, int n, int64_t k, const OrderedRow& row, float* c,
                bool add, int64_t ahead) {
  const Lone<Format> format(w);
  __m512 sum = add ? _mm512_loadu_ps(c) : _mm512_setzero_ps();
  for_each_tile<Format>(
      w, weights, n, 0, k, ahead,
      [&](const __m512i* tile, const typename Format::Rows& scales, int64_t done, int64_t columns)
          __attribute__((always_inline)) {
            for (int part = 0; part < columns / Format::kPart; ++part) {
              const int64_t at = done + part * Format::kPart;
              sum = _mm512_add_ps(sum, format.sum(tile, scales, part, row.pairs + 2 * at,
                                                  row.sums + at / OrderedRow::kOrdered));
            }
          });
  _mm512_storeu_ps(c, sum);
}

template <class Format>
void order_codes(const char* a, int64_t k, const OrderedRow& out) {
  const __m512i order = load_words(Lone<Format>::kOrder), ones = _mm512_set1_epi16(0x3f80);
  for (int64_t i = 0; i < k; i += OrderedRow::kOrdered) {
    const __m512i x = _mm512_loadu_si512(a + 2 * i);
    _mm512_storeu_si512(out.pairs + 2 * i, _mm512_permutexvar_epi16(order, x));
    out.sums[i / OrderedRow::kOrdered] = _mm512_reduce_add_ps(DotBf16::add(_mm512_setzero_ps(), x, ones));
  }
}

template <class Format>
constexpr CodeOps code_ops() {
  if constexpr (requires { Lone<Format>::kOrder; })
    return {pack_codes<Format>, few_codes<Format>, lone_codes<Format>, order_codes<Format>};
  else
    return {pack_codes<Format>, few_codes<Format>, nullptr, nullptr};
}

}  // namespace
}  // namespace lorikeet::simd
