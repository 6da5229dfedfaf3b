#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 210 bytes for 256 elements: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 int8 scales, f16 d.
/// In half n, element 32k + l has its nibble in byte 64n + l + 32 (k odd), high for k >= 2; its upper bits at
/// 2k of byte 32n + l; its scale at 8n + l/16 + 2k. y = d scale (q - 32).
void decode_q6_k(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<256, 210>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block + 208);
    for (int n = 0; n < 2; ++n) {
      for (int k = 0; k < 4; ++k) {
        const uint8_t* low = block + 64 * n + 32 * (k % 2);
        const uint8_t* high = block + 128 + 32 * n;
        for (int l = 0; l < 32; ++l) {
          const int code = (k < 2 ? low[l] & 15 : low[l] >> 4) | (high[l] >> (2 * k) & 3) << 4;
          const auto scale = static_cast<int8_t>(block[192 + 8 * n + l / 16 + 2 * k]);
          y[128 * n + 32 * k + l] = d * static_cast<float>(scale) * static_cast<float>(code - 32);
        }
      }
    }
  });
}

}  // namespace lorikeet
