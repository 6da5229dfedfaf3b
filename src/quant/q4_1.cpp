#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 20 bytes for 32 elements: f16 d, f16 m; nibbles as Q4_0. y = d q + m.
void decode_q4_1(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<32, 20>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block), m = load_f16(block + 2);
    for (int j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>(block[4 + j] & 15) + m;
      y[j + 16] = d * static_cast<float>(block[4 + j] >> 4) + m;
    }
  });
}

}  // namespace lorikeet
