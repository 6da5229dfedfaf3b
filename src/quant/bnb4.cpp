#include <algorithm>

#include "quant/decoders.h"
#include "quant/format.h"

namespace lorikeet {

float bnb4_absmax(const Weight& w, int64_t block) {
  if (w.absmax) return w.absmax[block];
  return w.nested_code[w.absmax_codes[block]] * w.nested_absmax[block / w.nested_blocksize] + w.nested_offset;
}

/// bitsandbytes' 4-bit layout: blocks over the flat index, first element of a pair in the high nibble.
/// y = code[nibble] absmax(block).
void decode_bnb4(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out) {
  const auto* codes = static_cast<const uint8_t*>(w.data);
  const int64_t base = stored_row * w.cols;
  for (int64_t f = base + first, end = base + last; f < end;) {
    const int64_t block = f / w.blocksize, stop = std::min(end, (block + 1) * w.blocksize);
    const float scale = bnb4_absmax(w, block);
    for (; f < stop; ++f) *out++ = w.code[f % 2 ? codes[f / 2] & 15 : codes[f / 2] >> 4] * scale;
  }
}

}  // namespace lorikeet
