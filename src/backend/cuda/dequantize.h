#pragma once
#include <cuda_runtime_api.h>

#include "core/tensor.h"
#include "quant/weight.h"

namespace lorikeet::cuda {

/// Null, or why dequantize_bnb4 cannot read this matrix.
const char* reject_bnb4(const Weight& w);

/// Writes the rows [first_row, first_row + out.rows) of a bnb4 matrix, in device memory, to `out` [rows,
/// cols] of f32 or bf16 with any stride: what decode_rows gives on the CPU, rounded to nearest even, bit for
/// bit.
///
/// Where rows begin on multiples of 8 elements and `out` on 16 bytes, a thread takes 8 elements at a time: 4
/// bytes read, 16 (f32: 32) written, neighbours beside each other. Other shapes go element by element.
/// Moves 0.5 bytes of codes and the scales in, and out's elements out; runs at the speed of the memory.
void dequantize_bnb4(const Weight& w, int64_t first_row, TensorView out, cudaStream_t queue);

}  // namespace lorikeet::cuda
