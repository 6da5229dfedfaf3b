#pragma once
// The storage formats of frozen matrices: sizes and reference decoding. A format is one row of the table in
// registry.cpp and one file; whatever can decode works everywhere, a fast kernel only makes it faster.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/weight.h"

namespace lorikeet {

struct FormatInfo {
  WeightFormat format;
  const char* name;        ///< "Q4_K"
  int32_t block_elements;  ///< elements per block of a row; 1 for formats without row blocks
  int32_t block_bytes;     ///< bytes per block; 0 where the size is not a multiple of blocks (dense, bnb4)
  /// Decodes the elements [first, last) of one *stored* row (of a transposed format: of a column of W); out
  /// receives last - first values.
  void (*decode)(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
};

std::span<const FormatInfo> formats();
const FormatInfo& format_info(WeightFormat format);

/// Decodes the tile [row0,row1) x [col0,col1) to out[(row - row0) * ld + (col - col0)], following the row
/// map. Values are exactly the format's definition in f32 arithmetic.
void decode_rows(const Weight& w, int64_t row0, int64_t row1, int64_t col0, int64_t col1, float* out,
                 int64_t ld);

/// Decodes the elements [first, last) of the flattened matrix.
void decode_flat(const Weight& w, int64_t first, int64_t last, float* out);

/// Bytes of a rows x cols matrix in a dense (`dtype`) or GGUF block format. Throws Error(format) if cols is
/// not a multiple of the block. Other formats have parts of their own (bnb4_bytes).
int64_t weight_bytes(WeightFormat format, DType dtype, int64_t rows, int64_t cols);

/// Scale of block b of a bnb4 matrix: plain or doubly quantized.
float bnb4_absmax(const Weight& w, int64_t block);

/// Row map that undoes GGUF's permutation of q and k rows in Llama-family files: entry i is the stored row of
/// Hugging Face row i, for `heads` heads (key/value heads for k) of `head_dim` rows each. The converter
/// reshapes [heads, 2, head_dim/2, in], swaps the middle axes and flattens.
std::vector<int32_t> gguf_rope_row_map(int64_t heads, int64_t head_dim);

/// Copies rows of `row_bytes` bytes so that row i of `out` is row map[i] of `in`. The two may not overlap.
void gather_rows(const void* in, void* out, int64_t row_bytes, std::span<const int32_t> map);

}  // namespace lorikeet
