#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 144 bytes for 256 elements: f16 d, f16 dmin; 12 bytes of 6-bit scales and minima of eight sub-blocks of
/// 32; nibbles. Sub-blocks 2i and 2i+1 are the low and the high nibbles of bytes [32i, 32i+32). y = d scale q
/// - dmin minimum.
void decode_q4_k(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<256, 144>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block), dmin = load_f16(block + 2);
    for (int b = 0; b < 8; ++b) {
      const KScale s = k_scale(block + 4, b);
      const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
      const uint8_t* q = block + 16 + b / 2 * 32;
      for (int l = 0; l < 32; ++l) {
        y[32 * b + l] = scale * static_cast<float>(b % 2 ? q[l] >> 4 : q[l] & 15) - minimum;
      }
    }
  });
}

}  // namespace lorikeet
