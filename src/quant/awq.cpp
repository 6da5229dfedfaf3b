#include "quant/decoders.h"
#include "quant/grouped.h"

namespace lorikeet {

/// Eight rows of W to a word, in the order 0, 2, 4, 6, 1, 3, 5, 7; see Grouped.
void decode_awq(const Weight& w, int64_t column, int64_t first, int64_t last, float* out) {
  constexpr int kShift[8] = {0, 16, 4, 20, 8, 24, 12, 28};
  const int64_t group = w.grouped.group(column), words = w.rows / 8;
  const uint32_t* codes = static_cast<const uint32_t*>(w.data) + column * words;
  const uint32_t* zeros = w.grouped.zeros + group * words;
  for (int64_t row = first; row < last; ++row) {
    const int shift = kShift[row % 8];
    const auto q = static_cast<int32_t>(codes[row / 8] >> shift & 15),
               zero = static_cast<int32_t>(zeros[row / 8] >> shift & 15);
    *out++ = group_scale(w, group, row) * static_cast<float>(q - zero);
  }
}

}  // namespace lorikeet
