// Ops that pick rows: embedding and its backward, gather_rows, scatter_rows.
#include "backend/cuda/for_each.cuh"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

template <class T, class Table>
struct Embedding {
  Rows<T> y;
  Rows<const Table> table;
  const int32_t* tokens;
  float scale;
  bool accumulate;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const Values<n> v = load<n>(table.at(tokens[row], col));
    store_or_add(each<n>([&](int i) { return scale * v.e[i]; }), accumulate, y.at(row, col));
  }
};

/// y[to[i]] = x[from[i]]; a null table is the identity.
template <class T>
struct CopyRows {
  Rows<T> y, x;
  const int32_t *to, *from;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    store(load<n>(x.at(from ? from[row] : row, col)), y.at(to ? to[row] : row, col));
  }
};

/// The block of a token's first place adds the rows of all its places, in their order: nobody else touches
/// that row of the table.
template <class T, int n>
__global__ void __launch_bounds__(kThreads)
    embedding_bwd(Rows<float> dtable, Rows<T> dy, const int32_t* tokens, int32_t count, int64_t cols,
                  float scale) {
  const auto place = static_cast<int32_t>(blockIdx.x), thread = static_cast<int32_t>(threadIdx.x);
  const int32_t token = tokens[place];
  bool earlier = false;
  for (int32_t i = thread; i < place && !earlier; i += kThreads) earlier = tokens[i] == token;
  if (__syncthreads_or(earlier)) return;

  const int64_t col = (int64_t{blockIdx.y} * kThreads + threadIdx.x) * n;
  const bool mine = col < cols;
  Values<n> sum = {};
  if (mine) sum = load<n>(dtable.at(token, col));
  __shared__ uint32_t found[kThreads / 32];
  for (int32_t first = place; first < count; first += kThreads) {
    const int32_t i = first + thread;
    const uint32_t in_warp = __ballot_sync(0xffffffffu, i < count && tokens[i] == token);
    __syncthreads();  // found may still be read
    if (thread % 32 == 0) found[thread / 32] = in_warp;
    __syncthreads();
    if (!mine) continue;
    for (int32_t w = 0; w < kThreads / 32; ++w)
      for (uint32_t left = found[w]; left != 0; left &= left - 1) {
        const Values<n> d = load<n>(dy.at(first + w * 32 + __ffs(static_cast<int>(left)) - 1, col));
        sum = each<n>([&](int e) { return sum.e[e] + scale * d.e[e]; });
      }
  }
  if (mine) store(sum, dtable.at(token, col));
}

const char* reject(const EmbeddingArgs& a) {
  if (a.table->format != WeightFormat::dense || a.table->row_map || a.table->transposed)
    return "the table must be dense, row after row";
  return is_compute_type(a.y.dtype) && is_small_float(a.table->dtype) ? nullptr : kOtherType;
}
void run(const EmbeddingArgs& a, const KernelContext& c) {
  const TensorView table = a.table->dense_view();
  with_compute_type(a.y.dtype, [&]<class T>(T) {
    with_small_float(table.dtype, [&]<class Table>(Table) {
      constexpr int kGroup = std::max(kWide<T>, kWide<Table>);
      const Embedding<T, Table> body{Rows<T>(a.y), Rows<const Table>(table), a.tokens,
                                     static_cast<float>(a.scale), a.accumulate};
      for_each<kGroup>(a.op_name, a.y.shape(), take_groups({a.y, table}, kGroup), body, queue_of(c));
    });
  });
}

const char* reject(const EmbeddingBwdArgs& a) {
  return is_compute_type(a.dy.dtype) && a.dtable.dtype == DType::f32 ? nullptr : kOtherType;
}
void run(const EmbeddingBwdArgs& a, const KernelContext& c) {
  if (a.dy.count() == 0) return;
  with_compute_type(a.dy.dtype, [&]<class T>(T) {
    const auto start = [&]<int n>() {
      const dim3 grid(blocks_for(a.dy.rows, 1), blocks_for(a.dy.cols, int64_t{kThreads} * n));
      embedding_bwd<T, n><<<grid, kThreads, 0, queue_of(c)>>>(Rows<float>(a.dtable), Rows<T>(a.dy), a.tokens,
                                                              static_cast<int32_t>(a.dy.rows), a.dy.cols,
                                                              static_cast<float>(a.scale));
    };
    take_groups({a.dtable, a.dy}, kWide<T>) ? start.template operator()<kWide<T>>()
                                            : start.template operator()<1>();
    check(cudaGetLastError(), a.op_name);
  });
}

template <class Args>
const char* reject(const Args& a) {
  return reject_types({a.x, a.y});
}
template <class Args>
void copy_rows(const Args& a, int64_t rows, const int32_t* to, const int32_t* from, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    for_each<kWide<T>>(a.op_name, {rows, a.y.cols}, take_groups({a.x, a.y}, kWide<T>),
                       CopyRows<T>{Rows<T>(a.y), Rows<T>(a.x), to, from}, queue_of(c));
  });
}
void run(const GatherRowsArgs& a, const KernelContext& c) { copy_rows(a, a.y.rows, nullptr, a.at, c); }
void run(const ScatterRowsArgs& a, const KernelContext& c) { copy_rows(a, a.x.rows, a.at, nullptr, c); }

}  // namespace

template <>
std::span<const Kernel<EmbeddingArgs>> op_kernels() {
  static constexpr Kernel<EmbeddingArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<EmbeddingBwdArgs>> op_kernels() {
  static constexpr Kernel<EmbeddingBwdArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<GatherRowsArgs>> op_kernels() {
  static constexpr Kernel<GatherRowsArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<ScatterRowsArgs>> op_kernels() {
  static constexpr Kernel<ScatterRowsArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
