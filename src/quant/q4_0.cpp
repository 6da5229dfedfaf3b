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

/// Codes and scale as in ggml's reference (quantize_row_q4_0_ref): the largest element becomes -8.
void encode_q4_0(const float* in, int64_t count, uint8_t* out) {
  for (const float* end = in + count; in != end; in += 32, out += 18) {
    const float d = largest_of(in, 32) / -8, inverse = d == 0 ? 0 : 1 / d;
    const auto code = [inverse](float x) {
      // One rounding of product and sum, as gguf's Python package and compilers that contract them do.
      const auto shifted = static_cast<float>(static_cast<double>(x) * static_cast<double>(inverse) + 8.5);
      return static_cast<uint8_t>(std::min(shifted, 15.0f));
    };
    store_f16(d, out);
    for (int j = 0; j < 16; ++j) out[2 + j] = static_cast<uint8_t>(code(in[j]) | code(in[j + 16]) << 4);
  }
}

}  // namespace lorikeet
