#pragma once
// What GGUF's block formats share: a row is a run of blocks, and a column range may begin and end inside one.
// Layouts: ggml-common.h; the values equal those of the gguf Python package bit for bit.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/half.h"
#include "quant/weight.h"

namespace lorikeet {

inline float load_f16(const uint8_t* p) { return to_float(F16{static_cast<uint16_t>(p[0] | p[1] << 8)}); }

/// Decodes columns [first, last) of a row of blocks; decode_block(bytes, out) writes kElements values.
template <int kElements, int kBytes, class DecodeBlock>
void decode_blocks(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out,
                   const DecodeBlock& decode_block) {
  const auto* row = static_cast<const uint8_t*>(w.data) + stored_row * (w.cols / kElements) * kBytes;
  for (int64_t col = first; col < last;) {
    const uint8_t* block = row + col / kElements * kBytes;
    const int64_t skip = col % kElements, n = std::min(kElements - skip, last - col);
    if (n == kElements) {
      decode_block(block, out);
    } else {
      float values[kElements];
      decode_block(block, values);
      std::copy(values + skip, values + skip + n, out);
    }
    col += n;
    out += n;
  }
}

inline void store_f16(float x, uint8_t* p) {
  const F16 h = to_f16(x);
  std::memcpy(p, &h.bits, sizeof h.bits);
}

/// The element of largest size, the first of equal ones.
inline float largest_of(const float* x, int n) {
  return *std::max_element(x, x + n, [](float a, float b) { return std::abs(a) < std::abs(b); });
}

/// Scale and minimum of sub-block b (0 to 7) of Q4_K and Q5_K, packed as 6-bit numbers in 12 bytes.
struct KScale {
  int scale, minimum;
};
inline KScale k_scale(const uint8_t* s, int b) {
  if (b < 4) return {s[b] & 63, s[b + 4] & 63};
  return {(s[b + 4] & 15) | (s[b - 4] >> 6) << 4, (s[b + 4] >> 4) | (s[b] >> 6) << 4};
}

}  // namespace lorikeet
