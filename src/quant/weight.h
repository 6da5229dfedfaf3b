#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

/// How the elements of a frozen matrix are stored. bnb4 covers NF4 and FP4 (the code book is data); q* are
/// GGUF's block formats, row after row; gptq and awq are stored column after column, with the parts of
/// Grouped.
enum class WeightFormat : uint8_t { dense, bnb4, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k, gptq, awq };

/// What GPTQ and AWQ keep beside the codes. Element (o, k) is scale[g, o] * (q[o, k] - zero[g, o]) with g the
/// group of column k.
///
/// gptq: q[o, k] is the `bits` bits from bit k * bits on of the word column o of data [cols * bits / 32,
/// rows] u32, lowest first and straddling words; zeros are packed likewise along o. Files of version 1 store
/// the zero less one: zero_offset 1 is added to every field of a word in one addition, so a zero that wrapped
/// carries into the next field as it was borrowed from it; 3-bit fields are added to one by one, modulo 8.
/// awq: 4 bits; eight outputs share a word, of data [cols, rows / 8] and of zeros, in the order 0, 2, 4, 6,
/// 1, 3, 5, 7. Source: GPTQModel 7.4, nn_modules/qlinear, utils/model.py,
/// convert_gptq_v1_to_v2_format_module; AutoAWQ, utils/packing_utils.py.
struct Grouped {
  int32_t bits = 0, zero_offset = 0;
  int64_t group_size = 0;             ///< columns, where group_of is null
  const int32_t* group_of = nullptr;  ///< [cols], or null: k / group_size
  const uint32_t* zeros = nullptr;    ///< [groups, ceil(rows * bits / 32)]
  const void* scales = nullptr;       ///< [groups, rows]
  DType scale_type = DType::f16;      ///< f16, bf16 or f32

  int64_t group(int64_t column) const { return group_of ? group_of[column] : column / group_size; }
};

/// A matrix W [rows = out features, cols = in features] that somebody else owns, in any storage format.
/// Plain data, copied freely; all pointers stay valid as long as the store (or mapped file) that made it.
///
/// Element (i, k) of bnb4 is code[nibble(f)] * absmax(f / blocksize) with f = i * cols + k the *flat* index:
/// blocks run on from row to row. Nibble f is the high half of byte f / 2 when f is even, else the low half.
/// With double quantization absmax(b) = nested_code[absmax_codes[b]] * nested_absmax[b / nested_blocksize] +
/// nested_offset, in f32.
struct Weight {
  WeightFormat format = WeightFormat::dense;
  DType dtype = DType::f32;  ///< of the elements if dense; else of what was quantized, as far as known
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

  Grouped grouped;  ///< gptq and awq

  const int32_t* row_map =
      nullptr;  ///< stored row of row i, or null for the identity (as a GGUF file orders rows)

  /// Dense elements lie column by column, as in a file (GPT-2). Only decoding takes it: what a kernel gets is
  /// stored by rows.
  bool transposed = false;

  explicit operator bool() const { return rows != 0; }
  /// Stored column after column: a stored row is a column of W.
  bool by_columns() const { return format == WeightFormat::gptq || format == WeightFormat::awq; }
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
