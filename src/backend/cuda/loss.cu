#include <cfloat>

#include "backend/cuda/kernels.h"
#include "backend/cuda/total.cuh"

namespace lorikeet::cuda {

namespace {

/// A sum of exponentials relative to the largest exponent so far.
struct ExpSum {
  float top = -FLT_MAX, sum = 0;
};
__device__ ExpSum from_lane(uint32_t lanes, ExpSum s, int distance) {
  return {__shfl_xor_sync(lanes, s.top, distance), __shfl_xor_sync(lanes, s.sum, distance)};
}
__device__ ExpSum joined(ExpSum a, ExpSum b) {
  const float top = fmaxf(a.top, b.top);
  return {top, a.sum * expf(a.top - top) + b.sum * expf(b.top - top)};
}

template <class D>
struct CrossEntropy {
  Rows<D> dlogits;
  Rows<double> row_loss;
  Rows<const float> logits;
  const int32_t* target;
  unsigned long long* correct;
  float grad_scale, scale, softcap;
  int64_t vocab;

  template <int n>
  __device__ Values<n> capped_logits(int64_t row, int64_t col) const {
    const Values<n> z = load<n>(logits.at(row, col));
    return each<n>([&](int i) { return capped(z.e[i], scale, softcap); });
  }
  /// d capped logit / d logit.
  __device__ float slope(float capped_logit) const {
    const float ratio = softcap > 0 ? capped_logit / softcap : 0;
    return scale * (1 - ratio * ratio);
  }

  template <int n, class Threads>
  __device__ void run(Threads threads, int64_t row) const {
    if (correct) count_correct<n>(threads, row);
    const int32_t wanted = target[row];
    const float at_target = capped(*logits.at(row, wanted), scale, softcap);
    ExpSum all;
    threads.template columns<n>(vocab, [&](int64_t c) {
      const Values<n> z = capped_logits<n>(row, c);
      float top = all.top;
#pragma unroll
      for (int i = 0; i < n; ++i) top = fmaxf(top, z.e[i]);
      all.sum *= expf(all.top - top);
#pragma unroll
      for (int i = 0; i < n; ++i) all.sum += expf(z.e[i] - top);
      all.top = top;
    });
    all = threads.combined(all, [](ExpSum a, ExpSum b) { return joined(a, b); });
    if (dlogits) gradient<n>(threads, row, all);
    if (threads.index() != 0) return;
    const double lse = static_cast<double>(all.top) + log(static_cast<double>(all.sum));
    *row_loss.at(row) = lse - at_target;
    // The target's own entry is p - 1: rounded once, from f64.
    if (dlogits)
      from_f32(
          static_cast<float>(static_cast<double>(grad_scale) * slope(at_target) * expm1(at_target - lse)),
          *dlogits.at(row, wanted));
  }

  /// grad_scale * slope * softmax. dlogits may lie over the logits, narrower than they are: what all threads
  /// store in a turn lies over what has been read.
  template <int n, class Threads>
  __device__ void gradient(Threads threads, int64_t row, ExpSum all) const {
    const float factor = grad_scale / all.sum;
    for (int64_t first = 0; first < vocab; first += Threads::kCount * n) {
      const int64_t c = first + threads.index() * n;
      Values<n> z = {};
      if (c < vocab) z = capped_logits<n>(row, c);
      threads.sync();
      if (c < vocab)
        store(each<n>([&](int i) { return factor * slope(z.e[i]) * expf(z.e[i] - all.top); }),
              dlogits.at(row, c));
    }
    threads.sync();
  }

  /// Adds 1 where no logit is larger than the target's, and none before it as large. Additions of integers
  /// give the same sum in any order.
  template <int n, class Threads>
  __device__ void count_correct(Threads threads, int64_t row) const {
    const int32_t wanted = target[row];
    const float raw = *logits.at(row, wanted);
    bool beaten = false;
    threads.template columns<n>(vocab, [&](int64_t c) {
      const Values<n> z = load<n>(logits.at(row, c));
#pragma unroll
      for (int i = 0; i < n; ++i) beaten |= z.e[i] > raw || (z.e[i] == raw && c + i < wanted);
    });
    beaten = threads.combined(static_cast<int>(beaten), [](int a, int b) { return a | b; }) != 0;
    if (!beaten && threads.index() == 0) atomicAdd(correct, 1ull);
  }
};

const char* reject(const CrossEntropyArgs& a) {
  if (a.logits.dtype != DType::f32 || a.row_loss.dtype != DType::f64 || a.loss_sum.dtype != DType::f64)
    return "takes f32 logits and f64 losses only";
  return !a.dlogits || is_compute_type(a.dlogits.dtype) ? nullptr : kOtherType;
}

void run(const CrossEntropyArgs& a, const KernelContext& c) {
  constexpr int kRowThreads = 512;  // a vocabulary is long
  with_compute_type(a.dlogits.dtype, [&]<class D>(D) {
    const CrossEntropy<D> body{Rows<D>(a.dlogits),
                               Rows<double>(a.row_loss),
                               Rows<const float>(a.logits),
                               a.target,
                               reinterpret_cast<unsigned long long*>(a.correct),
                               static_cast<float>(a.grad_scale),
                               static_cast<float>(a.logit_scale),
                               static_cast<float>(a.softcap),
                               a.logits.cols};
    for_each_row<kWide<D>, kRowThreads>(a.op_name, a.logits.rows, a.logits.cols,
                                        take_groups({a.dlogits, a.logits}, kWide<D>), body, queue_of(c));
  });
  add_total(a.op_name, a.loss_sum.as<double>(), Rows<double>(a.row_loss), a.logits.rows, queue_of(c));
}

}  // namespace

template <>
std::span<const Kernel<CrossEntropyArgs>> op_kernels() {
  static constexpr Kernel<CrossEntropyArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
