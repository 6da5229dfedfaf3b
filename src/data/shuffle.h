#pragma once
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "core/philox.h"

namespace lorikeet {

/// A permutation of 0..n-1 (Fisher-Yates) that depends on seed, purpose and round alone.
inline std::vector<uint32_t> shuffled(size_t n, uint64_t seed, std::string_view purpose, uint64_t round) {
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  const Philox random(seed, stable_hash(purpose) ^ (round * 0x9E3779B97F4A7C15u));
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i, i)]);
  return order;
}

}  // namespace lorikeet
