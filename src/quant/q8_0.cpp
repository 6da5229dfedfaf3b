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

}  // namespace lorikeet
