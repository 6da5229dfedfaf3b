#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 24 bytes for 32 elements: f16 d, f16 m; u32 of fifth bits and nibbles as Q5_0. y = d q + m.
void decode_q5_1(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<32, 24>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block), m = load_f16(block + 2);
    uint32_t high;
    std::memcpy(&high, block + 4, 4);
    for (int j = 0; j < 16; ++j) {
      const int low = (block[8 + j] & 15) | static_cast<int>(high >> j & 1u) << 4;
      const int up = (block[8 + j] >> 4) | static_cast<int>(high >> (j + 16) & 1u) << 4;
      y[j] = d * static_cast<float>(low) + m;
      y[j + 16] = d * static_cast<float>(up) + m;
    }
  });
}

}  // namespace lorikeet
