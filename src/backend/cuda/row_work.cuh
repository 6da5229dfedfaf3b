#pragma once
// Work on rows whose elements need each other: half a warp to one block for a row, sums in a fixed order.
#include "backend/cuda/for_each.cuh"

namespace lorikeet::cuda {

template <class V>
__device__ V from_lane(uint32_t lanes, V v, int distance) {
  return __shfl_xor_sync(lanes, v, distance);
}

/// The threads of one row: a part of a warp, a warp or several. Up to a warp, a block holds several rows.
template <int kThreadsOfRow>
struct RowThreads {
  static constexpr int kCount = kThreadsOfRow, kWarps = kCount / 32;
  static constexpr int kRows = kWarps <= 1 ? kThreads / kCount : 1;  // of a block

  __device__ int index() const { return static_cast<int>(threadIdx.x); }
  /// The lanes of this row in its warp.
  __device__ uint32_t lanes() const {
    return kCount >= 32 ? 0xffffffffu : ((1u << kCount % 32) - 1) << threadIdx.y * kCount % 32;
  }
  __device__ void sync() const {
    if constexpr (kWarps <= 1)
      __syncwarp(lanes());
    else
      __syncthreads();
  }

  /// f(col) for every group of n columns, a thread's own in rising order.
  template <int n, class F>
  __device__ void columns(int64_t cols, const F& f) const {
    for (int64_t c = int64_t{threadIdx.x} * n; c < cols; c += kCount * n) f(c);
  }

  /// All threads' values combined by a commutative function, to all of them: the threads of a warp pairwise,
  /// then the warps in order.
  template <class V, class F>
  __device__ V combined(V v, const F& combine) const {
#pragma unroll
    for (int distance = (kCount < 32 ? kCount : 32) / 2; distance > 0; distance /= 2)
      v = combine(v, from_lane(lanes(), v, distance));
    if constexpr (kWarps > 1) {
      __shared__ V parts[kWarps];
      __syncthreads();  // parts may still be read by the combination before this
      if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
      __syncthreads();
      v = parts[0];
#pragma unroll
      for (int w = 1; w < kWarps; ++w) v = combine(v, parts[w]);
    }
    return v;
  }
  template <class V>
  __device__ V sum(V v) const {
    return combined(v, [](V a, V b) { return a + b; });
  }
};

template <int kCount, int n, class Body>
__global__ void __launch_bounds__(std::max(kCount, kThreads)) for_each_row_kernel(Body body, int64_t rows) {
  using Threads = RowThreads<kCount>;
  const int64_t row = int64_t{blockIdx.x} * Threads::kRows + threadIdx.y;
  if (row < rows) body.template run<n>(Threads(), row);
}

template <int kCount, int n, class Body>
void start_rows(int64_t rows, const Body& body, cudaStream_t queue) {
  constexpr int kRows = RowThreads<kCount>::kRows;
  for_each_row_kernel<kCount, n><<<blocks_for(rows, kRows), dim3(kCount, kRows), 0, queue>>>(body, rows);
}

template <int n, int kLongRow, class Body>
void start_rows_of(int64_t cols, int64_t rows, const Body& body, cudaStream_t queue) {
  if (cols <= 16 * n)  // one step
    start_rows<16, n>(rows, body, queue);
  else if (cols <= 128 * n)
    start_rows<32, n>(rows, body, queue);
  else
    start_rows<kLongRow, n>(rows, body, queue);
}

/// body.run<n>(threads, row) for every row of `cols` elements, a long one by kLongRow threads. How many
/// threads share a row depends on its own length and place only, so its bits do not depend on the rows beside
/// it.
template <int kGroup, int kLongRow = 256, class Body>
void for_each_row(const char* op, int64_t rows, int64_t cols, bool groups, const Body& body,
                  cudaStream_t queue) {
  if (rows == 0) return;
  if (groups)
    start_rows_of<kGroup, kLongRow>(cols, rows, body, queue);
  else
    start_rows_of<1, kLongRow>(cols, rows, body, queue);
  check(cudaGetLastError(), op);
}

}  // namespace lorikeet::cuda
