#include "quant/decoders.h"
#include "quant/gguf_block.h"

namespace lorikeet {

/// 34 bytes for 32 elements: f16 d; 32 int8. y = d q.
void decode_q8_0(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  decode_blocks<32, 34>(w, stored_row, first, last, out, [](const uint8_t* block, float* y) {
    const float d = load_f16(block);
    for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
  });
}

/// Codes and scale as in ggml's reference (quantize_row_q8_0_ref): halves away from zero.
void encode_q8_0(const float* in, int64_t count, uint8_t* out) {
  for (const float* end = in + count; in != end; in += 32, out += 34) {
    const float d = std::abs(largest_of(in, 32)) / 127, inverse = d == 0 ? 0 : 1 / d;
    store_f16(d, out);
    for (int j = 0; j < 32; ++j)
      out[2 + j] = static_cast<uint8_t>(static_cast<int8_t>(std::round(in[j] * inverse)));
  }
}

}  // namespace lorikeet
