#pragma once
// Work on elements that need no others: one thread for a few neighbours.
#include <algorithm>

#include "backend/backend.h"
#include "backend/cuda/elements.cuh"
#include "backend/cuda/status.h"

namespace lorikeet::cuda {

constexpr int kThreads = 256;  // of a block

/// The default stream: KernelContext carries no other.
inline cudaStream_t queue_of(const KernelContext&) { return nullptr; }

inline uint32_t blocks_for(int64_t work, int64_t per_block) {
  return static_cast<uint32_t>((work + per_block - 1) / per_block);
}

/// A block is blockDim.x groups of n columns by blockDim.y rows.
template <int n, class Body>
__global__ void __launch_bounds__(kThreads)
    for_each_kernel(const __grid_constant__ Body body, int64_t rows, int64_t groups) {
  const int64_t group = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (group >= groups) return;
  for (int64_t row = int64_t{blockIdx.y} * blockDim.y + threadIdx.y; row < rows;
       row += int64_t{gridDim.y} * blockDim.y)
    body.template run<n>(row, group * n);
}

template <int n, class Body>
void start_for_each(Shape shape, const Body& body, cudaStream_t queue) {
  const int64_t groups = shape.cols / n;
  uint32_t across = kThreads;
  while (across > 32 && across / 2 >= groups) across /= 2;
  const dim3 block(across, kThreads / across);
  const dim3 grid(blocks_for(groups, block.x), std::min(blocks_for(shape.rows, block.y), 65535u));
  for_each_kernel<n><<<grid, block, 0, queue>>>(body, shape.rows, groups);
}

/// body.run<n>(row, col) for every group of neighbouring elements of a matrix: of kGroup, if `groups`, else
/// of one.
template <int kGroup, class Body>
void for_each(const char* op, Shape shape, bool groups, const Body& body, cudaStream_t queue) {
  if (shape.count() == 0) return;
  if (groups)
    start_for_each<kGroup>(shape, body, queue);
  else
    start_for_each<1>(shape, body, queue);
  check(cudaGetLastError(), op);
}

/// The same over elements that lie alike in `views`, the first of which is present: as one long row where
/// none has gaps.
template <int kGroup, class Body>
void for_each_of(const char* op, std::initializer_list<TensorView> views, const Body& body,
                 cudaStream_t queue) {
  const bool gaps =
      !std::all_of(views.begin(), views.end(), [](const TensorView& v) { return !v || v.contiguous(); });
  const Shape shape = views.begin()->shape();
  if (gaps || shape.rows == 0) return for_each<kGroup>(op, shape, take_groups(views, kGroup), body, queue);
  const bool groups = std::all_of(views.begin(), views.end(), [](const TensorView& v) {
    return !v || takes_groups(v.reshaped(v.count()), kGroup);
  });
  for_each<kGroup>(op, {1, shape.count()}, groups, body, queue);
}

}  // namespace lorikeet::cuda
