// Double quantization: the absmax of the 4-bit blocks in 8 bits.
#include <algorithm>

#include "core/error.h"
#include "quant/bnb4_encode.h"
#include "quant/dynamic8.h"

namespace lorikeet {

float nested_offset_of(std::span<const float> absmax) {
  LORIKEET_CHECK(!absmax.empty());
  double sum = 0;
  for (const float a : absmax) sum += a;
  return static_cast<float>(sum / static_cast<double>(absmax.size()));
}

void encode_absmax(std::span<const float> absmax, float offset, uint8_t* codes, float* nested_absmax) {
  static_assert(kNestedBlock == kDynamicBlock);
  float x[kNestedBlock];
  for (size_t first = 0; first < absmax.size(); first += kNestedBlock) {
    const size_t n = std::min<size_t>(kNestedBlock, absmax.size() - first);
    for (size_t i = 0; i < n; ++i) x[i] = absmax[first + i] - offset;
    encode_dynamic_block(DynamicMap::with_negatives, x, static_cast<int64_t>(n), codes + first,
                         nested_absmax + first / kNestedBlock);
  }
}

}  // namespace lorikeet
