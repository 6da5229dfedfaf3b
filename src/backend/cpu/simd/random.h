#pragma once
// Philox 4x32-10 (core/philox.h) on the vectors of the including file: one counter to a lane.
#include "backend/cpu/simd/vector.h"

namespace lorikeet::simd {
namespace {

struct HighLow {
  U::I high, low;
};
LORIKEET_INLINE HighLow multiply32(U::I a, U::I m) {
  const U::I even = U::product_even(a, m), odd = U::product_even(U::high_half(a), m);
  return {U::even_odd(U::high_half(even), odd), U::even_odd(even, U::low_to_high(odd))};
}

/// Uniform numbers in [0, 1): out[4 * i + j] is word j of counter first + i, for i in [0, counters);
/// `counters` is rounded up to the vector width, so out needs room for that.
void uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t counters, float* out) {
  const auto low_word = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high_word = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const U::I m0 = U::set(0xD2511F53u), m1 = U::set(0xCD9E8D57u);
  for (int64_t i = 0; i < counters; i += V::kWidth) {
    uint32_t lo[V::kWidth], hi[V::kWidth];
    for (int j = 0; j < V::kWidth; ++j) {
      const uint64_t counter = first + static_cast<uint64_t>(i + j);
      lo[j] = low_word(counter);
      hi[j] = high_word(counter);
    }
    U::I c0 = U::load(lo), c1 = U::load(hi), c2 = U::set(low_word(stream)), c3 = U::set(high_word(stream));
    uint32_t k0 = low_word(seed), k1 = high_word(seed);
    for (int round = 0; round < 10; ++round) {
      const HighLow p0 = multiply32(c0, m0), p1 = multiply32(c2, m1);
      c0 = U::exclusive_or(U::exclusive_or(p1.high, c1), U::set(k0));
      c2 = U::exclusive_or(U::exclusive_or(p0.high, c3), U::set(k1));
      c1 = p1.low;
      c3 = p0.low;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    alignas(64) float words[4][V::kWidth];
    const U::I c[4] = {c0, c1, c2, c3};
    for (int j = 0; j < 4; ++j)
      V::store(Element::f32, reinterpret_cast<char*>(words[j]), V::kWidth,
               V::mul(U::top24(c[j]), V::set(0x1p-24f)));
    for (int lane = 0; lane < V::kWidth; ++lane)
      for (int j = 0; j < 4; ++j) out[4 * (i + lane) + j] = words[j][lane];
  }
}

}  // namespace
}  // namespace lorikeet::simd
