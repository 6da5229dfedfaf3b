#include "quant/decoders.h"
#include "quant/grouped.h"

namespace lorikeet {
namespace {

/// `bits` bits from bit `at` on of words that lie `stride` apart, each of them with `added`.
int32_t field(const uint32_t* words, int64_t stride, int64_t at, int bits, uint32_t added = 0) {
  const int64_t word = at / 32;
  const int shift = static_cast<int>(at % 32);
  uint32_t value = (words[word * stride] + added) >> shift;
  if (shift + bits > 32) value |= (words[(word + 1) * stride] + added) << (32 - shift);
  return static_cast<int32_t>(value & ((1u << bits) - 1));
}

}  // namespace

/// Codes packed along the columns of W, zeros along its rows; see Grouped.
void decode_gptq(const Weight& w, int64_t column, int64_t first, int64_t last, float* out) {
  const Grouped& g = w.grouped;
  const int64_t group = g.group(column), zero_words = (w.rows * g.bits + 31) / 32;
  const auto* codes = static_cast<const uint32_t*>(w.data);
  const uint32_t* zeros = g.zeros + group * zero_words;
  const int32_t mask = (1 << g.bits) - 1;
  const bool by_word = 32 % g.bits == 0;
  const uint32_t to_word =
      by_word ? static_cast<uint32_t>(g.zero_offset) * (~0u / static_cast<uint32_t>(mask)) : 0;
  const int32_t to_field = by_word ? 0 : g.zero_offset;
  for (int64_t row = first; row < last; ++row) {
    const int32_t q = field(codes + row, w.rows, column * g.bits, g.bits);
    const int32_t zero = (field(zeros, 1, row * g.bits, g.bits, to_word) + to_field) & mask;
    *out++ = group_scale(w, group, row) * static_cast<float>(q - zero);
  }
}

}  // namespace lorikeet
