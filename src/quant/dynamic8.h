#pragma once
// Blocks of 256 numbers in 8 bits, byte-identical to bitsandbytes 0.50.2 on the CPU: one code of a dynamic
// map (bnb_tables.h) for each number, one scale for the block. Nested 4-bit scales and the moments of 8-bit
// optimizers are stored so.
#include <cstdint>

namespace lorikeet {

inline constexpr int kDynamicBlock = 256;

enum class DynamicMap : uint8_t { with_negatives, positive };

/// Encodes x[0, n), n <= 256: *absmax becomes the largest magnitude, codes those of x / absmax.
void encode_dynamic_block(DynamicMap map, const float* x, int64_t n, uint8_t* codes, float* absmax);

/// x[i] = map[codes[i]] * absmax.
void decode_dynamic_block(DynamicMap map, const uint8_t* codes, int64_t n, float absmax, float* x);

}  // namespace lorikeet
