#pragma once
// Quantization to bitsandbytes' 4-bit layout, byte-identical to bitsandbytes 0.50.2 on the CPU.
#include <cstdint>
#include <span>
#include <string_view>

#include "quant/bnb_tables.h"
#include "quant/weight.h"

namespace lorikeet {

inline constexpr int kBnb4MinBlock = 32, kBnb4MaxBlock = 4096, kNestedBlock = 256;
/// bitsandbytes never scales by more than 1 over this.
inline constexpr float kSmallestAbsmax = 1e-38f;

/// True for the block sizes bitsandbytes accepts: powers of two from 32 to 4096.
constexpr bool is_bnb4_blocksize(int64_t n) {
  return n >= kBnb4MinBlock && n <= kBnb4MaxBlock && (n & (n - 1)) == 0;
}

constexpr int64_t bnb4_blocks(int64_t elements, int64_t blocksize) {
  return (elements + blocksize - 1) / blocksize;
}

/// How a matrix is to be quantized.
struct Bnb4Options {
  Bnb4Type type = Bnb4Type::nf4;
  int32_t blocksize = 64;
  bool double_quant = true;
};

/// Bytes of every part of a quantized matrix of `elements` elements.
struct Bnb4Bytes {
  int64_t codes = 0;          ///< two per byte
  int64_t absmax = 0;         ///< f32; 0 with double quantization
  int64_t absmax_codes = 0;   ///< one byte per block; 0 without double quantization
  int64_t nested_absmax = 0;  ///< f32, one per 256 blocks
  int64_t tables = 0;         ///< the code book, and with double quantization the dynamic map
  int64_t total() const { return codes + absmax + absmax_codes + nested_absmax + tables; }
};
Bnb4Bytes bnb4_bytes(int64_t elements, const Bnb4Options& options);

/// Bytes of the widest vectors that this machine encodes with: 16, 32 (AVX2) or 64 (AVX-512).
int widest_encoder();

/// Quantizes the blocks [first_block, last_block) of the flattened matrix `source` (any format; its row map
/// is followed). The ranges of several threads may not overlap; scratch is one block on the stack.
///
/// codes   [ceil(elements / 2)] of the whole matrix; only the bytes of the range are written
/// absmax  [blocks] f32 of the whole matrix, likewise
/// round_to  source values are rounded to this type first (a GGUF base that stands for a bf16 checkpoint)
/// vector_bytes  at most widest_encoder(); the result does not depend on it
/// Throws Error(format) naming `name`, row and column of the first NaN or infinite element.
void encode_bnb4(const Weight& source, const Bnb4Options& options, int64_t first_block, int64_t last_block,
                 uint8_t* codes, float* absmax, std::string_view name, DType round_to = DType::f32,
                 int vector_bytes = widest_encoder());

/// The elements [first, first + n) of the flattened matrix, rounded to `round_to`, as encode_bnb4 sees them.
/// Throws as it does.
void load_finite(const Weight& source, int64_t first, int64_t n, DType round_to, std::string_view name,
                 float* x);

/// The offset of double quantization: the mean of absmax, summed in f64 and rounded once. bitsandbytes sums
/// in f32, so the two may differ by 4 units in the last place.
float nested_offset_of(std::span<const float> absmax);

/// Double quantization of absmax given its offset: blocks of 256 of (absmax - offset), each scaled by its own
/// largest magnitude and rounded to the signed dynamic map by bitsandbytes' rule (see the source).
///
/// codes [absmax.size()]; nested_absmax [ceil(absmax.size() / 256)]
void encode_absmax(std::span<const float> absmax, float offset, uint8_t* codes, float* nested_absmax);

}  // namespace lorikeet
