#pragma once
// Decoders of GGUF's block formats, in plain loops that the compiler turns into the vectors of the including
// file. Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h. One rounding per written
// operation, as in quant/: the values are the same to the last bit.
#include <immintrin.h>

#include "backend/cpu/simd/table.h"

namespace lorikeet::simd {
namespace {

inline float half_at(const uint8_t* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, 2);
  return _cvtsh_ss(bits);
}

struct Q4_0 {
  static constexpr int kElements = 32, kBytes = 18, kStep = 32;
  static void decode(const uint8_t* b, int, float* y) {
    const float d = half_at(b);
    for (int l = 0; l < 16; ++l) y[l] = static_cast<float>((b[2 + l] & 15) - 8) * d;
    for (int l = 0; l < 16; ++l) y[l + 16] = static_cast<float>((b[2 + l] >> 4) - 8) * d;
  }
};
struct Q4_1 {
  static constexpr int kElements = 32, kBytes = 20, kStep = 32;
  static void decode(const uint8_t* b, int, float* y) {
    const float d = half_at(b), m = half_at(b + 2);
    for (int l = 0; l < 16; ++l) y[l] = static_cast<float>(b[4 + l] & 15) * d + m;
    for (int l = 0; l < 16; ++l) y[l + 16] = static_cast<float>(b[4 + l] >> 4) * d + m;
  }
};
struct Q5_0 {
  static constexpr int kElements = 32, kBytes = 22, kStep = 32;
  static void decode(const uint8_t* b, int, float* y) {
    const float d = half_at(b);
    uint32_t high;
    __builtin_memcpy(&high, b + 2, 4);
    for (int l = 0; l < 16; ++l)
      y[l] = static_cast<float>(static_cast<int>((b[6 + l] & 15u) | ((high >> l & 1u) << 4)) - 16) * d;
    for (int l = 0; l < 16; ++l)
      y[l + 16] =
          static_cast<float>(static_cast<int>((b[6 + l] >> 4) | ((high >> (l + 16) & 1u) << 4)) - 16) * d;
  }
};
struct Q5_1 {
  static constexpr int kElements = 32, kBytes = 24, kStep = 32;
  static void decode(const uint8_t* b, int, float* y) {
    const float d = half_at(b), m = half_at(b + 2);
    uint32_t high;
    __builtin_memcpy(&high, b + 4, 4);
    for (int l = 0; l < 16; ++l)
      y[l] = static_cast<float>(static_cast<int>((b[8 + l] & 15u) | ((high >> l & 1u) << 4))) * d + m;
    for (int l = 0; l < 16; ++l)
      y[l + 16] =
          static_cast<float>(static_cast<int>((b[8 + l] >> 4) | ((high >> (l + 16) & 1u) << 4))) * d + m;
  }
};
struct Q8_0 {
  static constexpr int kElements = 32, kBytes = 34, kStep = 32;
  static void decode(const uint8_t* b, int, float* y) {
    const float d = half_at(b);
    for (int l = 0; l < 32; ++l) y[l] = static_cast<float>(static_cast<int8_t>(b[2 + l])) * d;
  }
};

/// Scale and minimum j of the 6-bit pairs packed into 12 bytes.
struct SixBit {
  float scale, minimum;
};
inline SixBit six_bit(const uint8_t* q, int j) {
  if (j < 4) return {static_cast<float>(q[j] & 63), static_cast<float>(q[j + 4] & 63)};
  return {static_cast<float>((q[j + 4] & 15) | ((q[j - 4] >> 6) << 4)),
          static_cast<float>((q[j + 4] >> 4) | ((q[j] >> 6) << 4))};
}
struct Q4_K {
  static constexpr int kElements = 256, kBytes = 144, kStep = 64;
  static void decode(const uint8_t* b, int part, float* y) {
    const float d = half_at(b), dmin = half_at(b + 2);
    const SixBit lo = six_bit(b + 4, 2 * part), hi = six_bit(b + 4, 2 * part + 1);
    const float d1 = d * lo.scale, m1 = dmin * lo.minimum, d2 = d * hi.scale, m2 = dmin * hi.minimum;
    const uint8_t* q = b + 16 + 32 * part;
    for (int l = 0; l < 32; ++l) y[l] = d1 * static_cast<float>(q[l] & 15) - m1;
    for (int l = 0; l < 32; ++l) y[l + 32] = d2 * static_cast<float>(q[l] >> 4) - m2;
  }
};
struct Q5_K {
  static constexpr int kElements = 256, kBytes = 176, kStep = 64;
  static void decode(const uint8_t* b, int part, float* y) {
    const float d = half_at(b), dmin = half_at(b + 2);
    const SixBit lo = six_bit(b + 4, 2 * part), hi = six_bit(b + 4, 2 * part + 1);
    const float d1 = d * lo.scale, m1 = dmin * lo.minimum, d2 = d * hi.scale, m2 = dmin * hi.minimum;
    const uint8_t* high = b + 16;
    const uint8_t* q = b + 48 + 32 * part;
    for (int l = 0; l < 32; ++l)
      y[l] = d1 * static_cast<float>((q[l] & 15) + ((high[l] >> (2 * part) & 1) << 4)) - m1;
    for (int l = 0; l < 32; ++l)
      y[l + 32] = d2 * static_cast<float>((q[l] >> 4) + ((high[l] >> (2 * part + 1) & 1) << 4)) - m2;
  }
};
struct Q6_K {
  static constexpr int kElements = 256, kBytes = 210, kStep = 64;
  static void decode(const uint8_t* b, int part, float* y) {
    const float d = half_at(b + 208);
    // Each half of 128 elements keeps its first 64 in the low and its last 64 in the high nibbles of 64
    // bytes.
    const int half = part / 2, upper = part % 2;
    const uint8_t* low = b + 64 * half;
    const uint8_t* high = b + 128 + 32 * half;
    for (int g = 0; g < 4; ++g) {
      const float s = d * static_cast<float>(static_cast<int8_t>(b[192 + 8 * half + 4 * upper + g]));
      const uint8_t* l = low + 16 * g;
      const uint8_t* h = high + 16 * (g % 2);
      const int shift = 4 * upper + 2 * (g / 2);
      for (int i = 0; i < 16; ++i)
        y[16 * g + i] =
            s * static_cast<float>(((l[i] >> (4 * upper) & 15) | ((h[i] >> shift & 3) << 4)) - 32);
    }
  }
};

/// Any of them to f32 (kUnit 1) or, by way of f32, to bf16 (kUnit 2).
template <class Format, int kUnit, void (*convert_row)(Element, const char*, int64_t, char*)>
void decode_blocks(const Codes& w, int64_t row, int64_t first, int64_t n, char* out) {
  const uint8_t* blocks = w.data + row * w.row_bytes;
  alignas(64) float values[64];
  for (int64_t k = first; k < first + n; k += Format::kStep, out += Format::kStep * (4 / kUnit)) {
    const uint8_t* b = blocks + k / Format::kElements * Format::kBytes;
    const int part = static_cast<int>(k % Format::kElements / Format::kStep);
    float* y = kUnit == 1 ? reinterpret_cast<float*>(out) : values;
    Format::decode(b, part, y);
    if (kUnit == 2) convert_row(Element::f32, reinterpret_cast<const char*>(values), Format::kStep, out);
  }
}

}  // namespace
}  // namespace lorikeet::simd
