// The ops that draw: dropout and NEFTune's noise. A number depends on its row's id, its position and its
// channel alone, and is that of core/philox.h bit for bit, so that devices, recomputation and resumed runs
// agree.
#include <curand_philox4x32_x.h>

#include "backend/cuda/for_each.cuh"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

__device__ uint4 words(uint64_t seed, uint64_t stream, uint64_t index) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  return curand_Philox4x32_10(make_uint4(low(index), high(index), low(stream), high(stream)),
                              make_uint2(low(seed), high(seed)));
}
__device__ float unit(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// Numbers first, first + 1, ... of Philox(seed, stream).uniform; several of them begin with a counter.
template <int n>
__device__ Values<n> uniform(uint64_t seed, uint64_t stream, uint64_t first) {
  static_assert(n == 1 || n % 4 == 0);
  Values<n> v;
  if constexpr (n == 1) {
    const uint4 w = words(seed, stream, first / 4);
    const uint32_t pair[] = {first & 1 ? w.y : w.x, first & 1 ? w.w : w.z};
    v.e[0] = unit(first & 2 ? pair[1] : pair[0]);
  } else {
#pragma unroll
    for (int i = 0; i < n; i += 4) {
      const uint4 w = words(seed, stream, first / 4 + i / 4);
      v.e[i] = unit(w.x);
      v.e[i + 1] = unit(w.y);
      v.e[i + 2] = unit(w.z);
      v.e[i + 3] = unit(w.w);
    }
  }
  return v;
}

/// Rows of one launch: its arguments may take 4 KiB.
constexpr int kRowsAtOnce = 224;

/// What tokens draw: rows of a micro-batch, which travel with the launch.
struct Draws {
  struct Row {
    int32_t begin;  ///< its first token
    float factor;   ///< of its numbers
    uint64_t stream;
  };
  Row row[kRowsAtOnce];
  int32_t count;
  uint64_t seed;
  const int32_t* positions;  ///< of all tokens
  int64_t channels;

  /// The last row that begins at the token or before it: one without tokens begins where the next one does.
  __device__ const Row& row_of(int64_t token) const {
    int first = 0, last = count;
    while (last - first > 1) {
      const int middle = (first + last) / 2;
      (row[middle].begin <= token ? first : last) = middle;
    }
    return row[first];
  }
  template <int n>
  __device__ Values<n> at(const Row& r, int64_t token, int64_t channel) const {
    return uniform<n>(seed, r.stream, static_cast<uint64_t>(positions[token] * channels + channel));
  }
};

template <class T>
struct Dropout {
  Rows<T> y, x;
  float p;
  bool accumulate;
  int64_t first;  // token
  Draws draws;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const int64_t token = first + row;
    const Draws::Row& drawn = draws.row_of(token);
    const Values<n> u = draws.at<n>(drawn, token, col), v = load<n>(x.at(token, col));
    store_or_add(each<n>([&](int i) { return u.e[i] < p ? 0 : v.e[i] * drawn.factor; }), accumulate,
                 y.at(token, col));
  }
};

template <class T>
struct Noise {
  Rows<T> y;
  int64_t first;  // token
  Draws draws;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const int64_t token = first + row;
    const Draws::Row& drawn = draws.row_of(token);
    const Values<n> u = draws.at<n>(drawn, token, col);
    store_or_add(each<n>([&](int i) { return (2 * u.e[i] - 1) * drawn.factor; }), true, y.at(token, col));
  }
};

/// Runs body, with the tokens and rows of each launch, over all tokens of the batch. factor_of(row): of its
/// numbers.
template <int kGroup, class Args, class Body, class F>
void for_each_draw(const Args& a, bool groups, Body body, const F& factor_of, const KernelContext& c) {
  const MicroBatch& batch = *a.batch;
  body.draws.seed = a.seed;
  body.draws.positions = batch.positions.data();
  body.draws.channels = a.y.cols;
  for (size_t at = 0; at < batch.rows.size(); at += kRowsAtOnce) {
    const auto some = batch.rows.subspan(at, std::min<size_t>(kRowsAtOnce, batch.rows.size() - at));
    for (size_t i = 0; i < some.size(); ++i)
      body.draws.row[i] = {some[i].q_begin, factor_of(some[i]),
                           a.stream ^ (static_cast<uint64_t>(batch.row_ids[at + i]) * 0x9E3779B97F4A7C15u)};
    body.draws.count = static_cast<int32_t>(some.size());
    body.first = some.front().q_begin;
    const Shape shape{some.back().q_begin + some.back().q_count - body.first, a.y.cols};
    for_each<kGroup>(a.op_name, shape, groups, body, queue_of(c));
  }
}

const char* reject(const DropoutArgs& a) { return reject_types({a.x, a.y}); }
void run(const DropoutArgs& a, const KernelContext& c) {
  const auto keep = static_cast<float>(a.scale / (1 - a.p));
  with_compute_type(a.x.dtype, [&]<class T>(T) {
    const Dropout<T> body{Rows<T>(a.y), Rows<T>(a.x), static_cast<float>(a.p), a.accumulate, 0, {}};
    for_each_draw<kWide<T>>(
        a, take_groups({a.x, a.y}, kWide<T>), body, [&](const RowSpan&) { return keep; }, c);
  });
}

const char* reject(const NoiseArgs& a) { return reject_types({a.y}); }
void run(const NoiseArgs& a, const KernelContext& c) {
  with_compute_type(a.y.dtype, [&]<class T>(T) {
    for_each_draw<kWide<T>>(
        a, take_groups({a.y}, kWide<T>), Noise<T>{Rows<T>(a.y), 0, {}},
        [&](const RowSpan& row) { return static_cast<float>(a.amplitude(row.q_count)); }, c);
  });
}

}  // namespace

template <>
std::span<const Kernel<DropoutArgs>> op_kernels() {
  static constexpr Kernel<DropoutArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}
template <>
std::span<const Kernel<NoiseArgs>> op_kernels() {
  static constexpr Kernel<NoiseArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
