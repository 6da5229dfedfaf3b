#pragma once
// Sums over the rows of a matrix, in a fixed order and without atomic additions: blocks of rows first, then
// their sums.
#include "backend/cuda/for_each.cuh"

namespace lorikeet::cuda {

constexpr int64_t kRowsSummed = 128;  // by one block of threads
constexpr int kLanes = 32, kTeams = kThreads / kLanes;

/// Bytes of workspace of sum_columns.
inline size_t column_sum_bytes(Shape s) {
  return static_cast<size_t>(blocks_for(s.rows, kRowsSummed)) * static_cast<size_t>(s.cols) * sizeof(float);
}

/// parts[blockIdx.y] = sum over a block's rows of term.at<n>(row, col): each team of lanes takes every
/// kTeams-th row.
template <int n, class Term>
__global__ void __launch_bounds__(kThreads) sum_parts(Term term, int64_t rows, int64_t cols, float* parts) {
  __shared__ float team[kTeams][kLanes * n];
  const int64_t col = (int64_t{blockIdx.x} * kLanes + threadIdx.x) * n;
  const int64_t first = blockIdx.y * kRowsSummed, last = min(rows, first + kRowsSummed);
  Values<n> sum = {};
  if (col < cols) {
#pragma unroll 4
    for (int64_t row = first + threadIdx.y; row < last; row += kTeams) {
      const Values<n> v = term.template at<n>(row, col);
      sum = each<n>([&](int i) { return sum.e[i] + v.e[i]; });
    }
  }
#pragma unroll
  for (int i = 0; i < n; ++i) team[threadIdx.y][i * kLanes + threadIdx.x] = sum.e[i];
  __syncthreads();
  const int64_t c = static_cast<int64_t>(threadIdx.y) * kLanes + threadIdx.x;  // of the block's columns
  if (c >= kLanes * n || int64_t{blockIdx.x} * kLanes * n + c >= cols) return;
  float total = 0;
#pragma unroll
  for (int t = 0; t < kTeams; ++t) total += team[t][c % n * kLanes + c / n];
  parts[blockIdx.y * cols + int64_t{blockIdx.x} * kLanes * n + c] = total;
}

/// The parts of a column, in order, times the column's factor.
struct AddParts {
  float* out;
  const float *parts, *factor;
  int64_t count, cols;
  template <int n>
  __device__ void run(int64_t, int64_t col) const {
    float sum = 0;
#pragma unroll 16
    for (int64_t i = 0; i < count; ++i) sum += parts[i * cols + col];
    out[col] += factor ? factor[col] * sum : sum;
  }
};

/// out[c] += factor[c] * sum over rows of term.at(row, c); out and factor (optional) [1,C] f32.
template <int kGroup, class Term>
void sum_columns(const char* op, const TensorView& out, Shape shape, bool groups, const Term& term,
                 void* workspace, cudaStream_t queue, const TensorView& factor = {}) {
  static_assert(kGroup <= kTeams);
  if (shape.count() == 0) return;
  auto* parts = static_cast<float*>(workspace);
  const dim3 block(kLanes, kTeams);
  const uint32_t row_blocks = blocks_for(shape.rows, kRowsSummed);
  const auto grid = [&](int n) { return dim3(blocks_for(shape.cols, kLanes * n), row_blocks); };
  if (groups)
    sum_parts<kGroup><<<grid(kGroup), block, 0, queue>>>(term, shape.rows, shape.cols, parts);
  else
    sum_parts<1><<<grid(1), block, 0, queue>>>(term, shape.rows, shape.cols, parts);
  for_each<1>(
      op, {1, shape.cols}, false,
      AddParts{out.as<float>(), parts, static_cast<const float*>(factor.data), row_blocks, shape.cols},
      queue);
}

}  // namespace lorikeet::cuda
