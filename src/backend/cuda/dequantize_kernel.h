#pragma once
// The device side of dequantize_bnb4, in plain types: nvcc cannot read the headers above it (fmt).
#include <cuda_runtime_api.h>

#include <cstdint>

namespace lorikeet::cuda {

/// Elements of one step of a thread: a 32-bit word of codes, and never more than one block of them.
constexpr int kBnb4Group = 8;

/// The fields of a bnb4 Weight, all in device memory.
struct Bnb4Source {
  const uint8_t* codes;
  const float* code;
  const float* absmax;  ///< null with double quantization
  const uint8_t* absmax_codes;
  const float* nested_absmax;
  const float* nested_code;
  float nested_offset;
  uint32_t nested_blocksize;
  int block_shift;  ///< log2 of the block size
};

/// Elements [first, first + count) of the flat matrix, whole rows of `cols`; `stride` elements from row to
/// row of the output.
struct Bnb4Range {
  uint64_t first, count, cols;
  int64_t stride;
};

cudaError_t start_dequantize_bnb4(const Bnb4Source& s, const Bnb4Range& r, void* out, bool to_f32,
                                  cudaStream_t queue);

}  // namespace lorikeet::cuda
