#pragma once
// Philox 4x32-10 (core/philox.h) on the vectors of the including file: one counter to a 64-bit lane, whose
// low half holds a word of the state; the high halves are never read.
#include "backend/cpu/simd/vector.h"

namespace lorikeet::simd {
namespace {

/// Uniform numbers in [0, 1): out[4 * i + j] is word j of counter first + i, for i in [0, counters);
/// `counters` is rounded up to U::kCounters, so out needs room for that.
void uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t counters, float* out) {
  const auto low_word = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high_word = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const U::I m0 = U::set(0xD2511F53u), m1 = U::set(0xCD9E8D57u);
  for (int64_t i = 0; i < counters; i += U::kCounters) {
    U::I c0 = U::counters(first + static_cast<uint64_t>(i)), c1 = U::high_half(c0);
    U::I c2 = U::set(low_word(stream)), c3 = U::set(high_word(stream));
    uint32_t k0 = low_word(seed), k1 = high_word(seed);
    for (int round = 0; round < 10; ++round) {
      const U::I p0 = U::product_even(c0, m0), p1 = U::product_even(c2, m1);
      c0 = U::exclusive_or(U::exclusive_or(U::high_half(p1), c1), U::set(k0));
      c2 = U::exclusive_or(U::exclusive_or(U::high_half(p0), c3), U::set(k1));
      c1 = p1;
      c3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    const U::I a = U::even_odd(c0, U::low_to_high(c1)), b = U::even_odd(c2, U::low_to_high(c3));
    const U::I words[2] = {U::pairs_low(a, b), U::pairs_high(a, b)};
    for (const U::I& w : words) {
      V::store(Element::f32, reinterpret_cast<char*>(out), V::kWidth, V::mul(U::top24(w), V::set(0x1p-24f)));
      out += V::kWidth;
    }
  }
}

}  // namespace
}  // namespace lorikeet::simd
