#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 22 bytes for 32 elements: f16 d; u32 whose bit j is the fifth bit of element j; nibbles as Q4_0. y = d (q
/// - 16).
void decode_q5_0(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<32, 22>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block);
    uint32_t high;
    std::memcpy(&high, block + 2, 4);
    for (int j = 0; j < 16; ++j) {
      const int low = (block[6 + j] & 15) | static_cast<int>(high >> j & 1u) << 4;
      const int up = (block[6 + j] >> 4) | static_cast<int>(high >> (j + 16) & 1u) << 4;
      y[j] = d * static_cast<float>(low - 16);
      y[j + 16] = d * static_cast<float>(up - 16);
    }
  });
}

}  // namespace lorikeet
