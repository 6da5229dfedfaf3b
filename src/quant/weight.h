#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

/// How the elements of a frozen matrix are stored. bnb4 covers NF4 and FP4 (the code book is data); q* are
/// GGUF's block formats, row after row.
enum class WeightFormat : uint8_t { dense, bnb4, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k };

/// A matrix W [rows = out features, cols = in features] that somebody else owns, in any storage format.
/// Plain data, copied freely; all pointers stay valid as long as the store (or mapped file) that made it.
///
/// Element (i, k) of bnb4 is code[nibble(f)] * absmax(f / blocksize) with f = i * cols + k the *flat* index:
/// blocks run on from row to row. Nibble f is the high half of byte f / 2 when f is even, else the low half.
/// With double quantization absmax(b) = nested_code[absmax_codes[b]] * nested_absmax[b / nested_blocksize] +
/// nested_offset, in f32.
struct Weight {
  WeightFormat format = WeightFormat::dense;
  DType dtype = DType::f32;  ///< of the elements if dense
  int64_t rows = 0, cols = 0;
  const void* data = nullptr;  ///< dense elements, 4-bit codes or GGUF blocks

  int32_t blocksize = 0;                  ///< bnb4 from here
  const float* code = nullptr;            ///< [16]
  const float* absmax = nullptr;          ///< [blocks], or null with double quantization
  const uint8_t* absmax_codes = nullptr;  ///< [blocks]
  const float* nested_absmax = nullptr;   ///< [ceil(blocks / nested_blocksize)]
  const float* nested_code = nullptr;     ///< [256]
  float nested_offset = 0;
  int32_t nested_blocksize = 256;

  const int32_t* row_map =
      nullptr;  ///< stored row of row i, or null for the identity (GGUF's permuted q and k)

  /// Dense elements lie column by column, as in a file (GPT-2). Only decoding takes it: what a kernel gets is
  /// stored by rows.
  bool transposed = false;

  explicit operator bool() const { return rows != 0; }
  TensorView dense_view() const {
    LORIKEET_CHECK(format == WeightFormat::dense && !row_map && !transposed);
    return TensorView(const_cast<void*>(data), {rows, cols}, dtype);
  }
  static Weight dense(TensorView v) {
    LORIKEET_CHECK(v.contiguous());
    Weight w;
    w.dtype = v.dtype;
    w.rows = v.rows;
    w.cols = v.cols;
    w.data = v.data;
    return w;
  }
};

}  // namespace lorikeet
