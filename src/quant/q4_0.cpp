#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 18 bytes for 32 elements: f16 d; byte j holds elements j (low nibble) and j + 16. y = d (q - 8).
void decode_q4_0(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<32, 18>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block);
    for (int j = 0; j < 16; ++j) {
      y[j] = d * static_cast<float>((block[2 + j] & 15) - 8);
      y[j + 16] = d * static_cast<float>((block[2 + j] >> 4) - 8);
    }
  });
}

}  // namespace lorikeet
