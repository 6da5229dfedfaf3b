#pragma once
// Dense products by cuBLASLt.
#include <cuda_runtime_api.h>

#include "core/tensor.h"

namespace lorikeet::cuda {

/// out = add + scale * op(left) op(right) + bias, one sum in f32 rounded once.
///
/// out [rows, cols] of left's type or f32; left bf16 or f32, [inner, rows] if `left_transposed` (op is then
/// the transpose), else [rows, inner]; right of left's type, [cols, inner] if `right_transposed`, else
/// [inner, cols]; add (optional) [rows, cols] like out, may be out; bias (optional) [1, cols] like out. Views
/// may have any stride.
struct Product {
  TensorView out, left, right;
  bool right_transposed = true;
  TensorView add, bias;
  bool left_transposed = false;
  float scale = 1;

  int64_t inner() const { return left_transposed ? left.rows : left.cols; }
};

/// Workspace that multiply needs, whatever the shapes.
constexpr size_t kProductWorkspace = (size_t{32} << 20) + 256;

/// Starts the product on `queue`. The algorithm is cuBLASLt's first choice for the shapes, strides and
/// alignments, asked for once and kept, so that equal calls give equal bits; timing algorithms against each
/// other would not. The number of rows is part of the shapes: other than on the CPU, a row's bits may depend
/// on how many rows stand beside it.
void multiply(const Product& p, void* workspace, cudaStream_t queue);

}  // namespace lorikeet::cuda
