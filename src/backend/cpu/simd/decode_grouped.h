#pragma once
// Decoders of GPTQ and AWQ (quant/weight.h, Grouped), 32 outputs at a time, in plain loops that the compiler
// turns into the vectors of the including file, whose V loads the scales. One rounding per value, as in
// quant/.
#include "backend/cpu/simd/table.h"

namespace lorikeet::simd {
namespace {

constexpr int kGroupLanes = 32;

/// Scales and zeros of one group for 32 outputs.
struct GroupLanes {
  alignas(64) float scale[kGroupLanes];
  alignas(64) int32_t zero[kGroupLanes];
};

/// 32 fields of kBits bits, lowest first, from kBits words; one is added to each if `offset` is 1
/// (quant/weight.h).
template <int kBits>
LORIKEET_INLINE void unpack_zeros(const uint32_t* words, int offset, int32_t* out) {
  constexpr bool kByWord = 32 % kBits == 0;
  constexpr uint32_t kMask = (1u << kBits) - 1;
  const auto one = static_cast<uint32_t>(offset), to_word = kByWord ? one * (~0u / kMask) : 0,
             to_field = kByWord ? 0 : one;
  for (int l = 0; l < kGroupLanes; ++l) {
    const int word = l * kBits / 32, shift = l * kBits % 32;
    uint32_t value = (words[word] + to_word) >> shift;
    if (shift + kBits > 32) value |= (words[word + 1] + to_word) << (32 - shift);
    out[l] = static_cast<int32_t>((value + to_field) & kMask);
  }
}
/// 32 fields of 4 bits from 4 words in AWQ's order.
LORIKEET_INLINE void unpack_awq(const uint32_t* words, int32_t* out) {
  static constexpr uint32_t kShift[8] = {0, 16, 4, 20, 8, 24, 12, 28};
  for (int word = 0; word < 4; ++word)
    for (int i = 0; i < 8; ++i) out[8 * word + i] = static_cast<int32_t>(words[word] >> kShift[i] & 15);
}

template <int kBits, bool kAwq>
LORIKEET_INLINE void load_group(const Codes& w, int64_t group, int64_t first, GroupLanes& lanes) {
  const GroupedCodes& g = w.grouped;
  const int64_t size = g.scale_type == Element::f32 ? 4 : 2;
  const char* scales = g.scales + (group * w.cols + first) * size;
  for (int l = 0; l < kGroupLanes; l += V::kWidth)
    V::store(Element::f32, reinterpret_cast<char*>(lanes.scale + l), V::kWidth,
             V::load(g.scale_type, scales + l * size, V::kWidth));
  const uint32_t* zeros = g.zeros + group * g.zero_words + first * kBits / 32;
  if constexpr (kAwq)
    unpack_awq(zeros, lanes.zero);
  else
    unpack_zeros<kBits>(zeros, g.zero_offset, lanes.zero);
}

/// The codes of 32 outputs in one column of W.
template <int kBits, bool kAwq>
LORIKEET_INLINE void load_codes(const Codes& w, int64_t column, int64_t first, int32_t* q) {
  const auto* data = reinterpret_cast<const uint32_t*>(w.data);
  if constexpr (kAwq) {
    unpack_awq(data + (column * w.cols + first) / 8, q);
  } else {
    const int64_t at = column * kBits;
    const int shift = static_cast<int>(at % 32);
    const uint32_t* words = data + at / 32 * w.cols + first;
    constexpr uint32_t kMask = (1u << kBits) - 1;
    if (32 % kBits == 0 || shift + kBits <= 32) {
      for (int l = 0; l < kGroupLanes; ++l) q[l] = static_cast<int32_t>(words[l] >> shift & kMask);
    } else {
      const uint32_t* next = words + w.cols;
      for (int l = 0; l < kGroupLanes; ++l)
        q[l] = static_cast<int32_t>((words[l] >> shift | next[l] << (32 - shift)) & kMask);
    }
  }
}

template <int kUnit, void (*convert_row)(Element, const char*, int64_t, char*), int kBits, bool kAwq = false>
void decode_group_lanes(const Codes& w, int64_t row, int rows, int64_t first, char* out, int64_t out_stride) {
  const GroupedCodes& g = w.grouped;
  GroupLanes lanes;
  int64_t loaded = -1, next_group = row;
  for (int64_t k = row; k < row + rows; ++k, out += out_stride) {
    int64_t group = loaded;
    if (g.group_of) {
      group = g.group_of[k];
    } else if (k >= next_group) {
      group = k / g.group_size;
      next_group = (group + 1) * g.group_size;
    }
    if (group != loaded) load_group<kBits, kAwq>(w, group, first, lanes);
    loaded = group;
    alignas(64) int32_t q[kGroupLanes];
    alignas(64) float values[kGroupLanes];
    load_codes<kBits, kAwq>(w, k, first, q);
    float* y = kUnit == 1 ? reinterpret_cast<float*>(out) : values;
    for (int l = 0; l < kGroupLanes; ++l) y[l] = lanes.scale[l] * static_cast<float>(q[l] - lanes.zero[l]);
    if (kUnit == 2) convert_row(Element::f32, reinterpret_cast<const char*>(values), kGroupLanes, out);
  }
}

template <int kUnit, void (*convert_row)(Element, const char*, int64_t, char*)>
void decode_grouped(const Codes& w, int64_t row, int rows, int64_t first, int64_t n, char* out,
                    int64_t out_stride) {
  auto* decode = w.grouped.awq         ? decode_group_lanes<kUnit, convert_row, 4, true>
                 : w.grouped.bits == 2 ? decode_group_lanes<kUnit, convert_row, 2>
                 : w.grouped.bits == 3 ? decode_group_lanes<kUnit, convert_row, 3>
                 : w.grouped.bits == 4 ? decode_group_lanes<kUnit, convert_row, 4>
                                       : decode_group_lanes<kUnit, convert_row, 8>;
  for (int64_t l = 0; l < n; l += kGroupLanes)
    decode(w, row, rows, first + l, out + l * (4 / kUnit), out_stride);
}

}  // namespace
}  // namespace lorikeet::simd
