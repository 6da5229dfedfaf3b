// Double quantization: the absmax of the 4-bit blocks in 8 bits.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "quant/bnb4_encode.h"

namespace lorikeet {
namespace {

// Nearest value of an ascending map of 256; the lower of two equally near.
uint8_t nearest(const std::array<float, 256>& map, float value) {
  value = std::clamp(value, -1.0f, 1.0f);
  const auto right = std::lower_bound(map.begin(), map.end(), value);
  if (right == map.begin()) return 0;
  if (right == map.end()) return 255;
  const auto index = static_cast<uint8_t>(right - map.begin());
  return *right - value < value - *(right - 1) ? index : static_cast<uint8_t>(index - 1);
}

}  // namespace

float nested_offset_of(std::span<const float> absmax) {
  LORIKEET_CHECK(!absmax.empty());
  double sum = 0;
  for (const float a : absmax) sum += a;
  return static_cast<float>(sum / static_cast<double>(absmax.size()));
}

void encode_absmax(std::span<const float> absmax, float offset, uint8_t* codes, float* nested_absmax) {
  const std::array<float, 256>& map = dynamic_map_signed();
  float x[kNestedBlock];
  for (size_t first = 0; first < absmax.size(); first += kNestedBlock) {
    const size_t n = std::min<size_t>(kNestedBlock, absmax.size() - first);
    float largest = 0;
    for (size_t i = 0; i < n; ++i) {
      x[i] = absmax[first + i] - offset;
      largest = std::max(largest, std::abs(x[i]));
    }
    nested_absmax[first / kNestedBlock] = largest;
    if (largest == 0) {  // what bitsandbytes stores for a block without content
      std::fill(codes + first, codes + first + n, uint8_t{0});
      continue;
    }
    const float reciprocal = 1.0f / largest;
    for (size_t i = 0; i < n; ++i) codes[first + i] = nearest(map, x[i] * reciprocal);
  }
}

}  // namespace lorikeet
