#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 176 bytes for 256 elements: as Q4_K, with 32 bytes before the nibbles: bit b of byte l is the fifth bit of
/// element l of sub-block b.
void decode_q5_k(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<256, 176>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block), dmin = load_f16(block + 2);
    const uint8_t* high = block + 16;
    for (int b = 0; b < 8; ++b) {
      const KScale s = k_scale(block + 4, b);
      const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
      const uint8_t* q = block + 48 + b / 2 * 32;
      for (int l = 0; l < 32; ++l) {
        const int code = (b % 2 ? q[l] >> 4 : q[l] & 15) | (high[l] >> b & 1) << 4;
        y[32 * b + l] = scale * static_cast<float>(code) - minimum;
      }
    }
  });
}

}  // namespace lorikeet
