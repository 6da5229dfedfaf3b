#pragma once
// Operands in device memory and times between CUDA events.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "backend/cuda/kernels.h"
#include "backend/cuda/status.h"

namespace lorikeet::bench {

constexpr size_t kCold = size_t{512} << 20;  // several times the largest cache
/// Device memory, tiled with random bf16 or f32 numbers or bytes.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) {
    void* p = nullptr;
    cuda::check(cudaMalloc(&p, bytes), "cudaMalloc");
    memory_.reset(p);
  }
  template <class T>
  Memory& tile(const std::vector<T>& pattern) {
    const size_t step = pattern.size() * sizeof(T);
    for (size_t at = 0; at < bytes_; at += step)
      cuda::check(cudaMemcpy(static_cast<char*>(memory_.get()) + at, pattern.data(),
                             std::min(step, bytes_ - at), cudaMemcpyHostToDevice),
                  "cudaMemcpy");
    return *this;
  }
  void* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void* p) const { cudaFree(p); }
  };
  std::unique_ptr<void, Free> memory_;
  size_t bytes_;
};

inline std::mt19937& generator() {
  static std::mt19937 g(1);
  return g;
}
template <class T, class F>
std::vector<T> pattern(F next) {
  std::vector<T> values((size_t{1} << 20) + 7);  // no period in common with a row
  for (T& v : values) v = next();
  return values;
}
inline const std::vector<Bf16>& random_bf16() {
  static const auto values = pattern<Bf16>(
      [d = std::normal_distribution<float>(0, 0.5f)]() mutable { return to_bf16(d(generator())); });
  return values;
}
inline const std::vector<uint8_t>& random_bytes() {
  static const auto values = pattern<uint8_t>([] { return static_cast<uint8_t>(generator()()); });
  return values;
}

struct Matrix {
  Matrix(int64_t rows, int64_t cols)
      : memory(static_cast<size_t>(rows * cols) * sizeof(Bf16)), rows(rows), cols(cols) {
    memory.tile(random_bf16());
  }
  operator TensorView() const { return TensorView(memory.data(), {rows, cols}, DType::bf16); }
  Memory memory;
  int64_t rows, cols;
};

using Work = std::function<void(int)>;

/// Milliseconds of one call of each work: medians of samples of `calls` calls between two events. The works
/// take turns, so that a card that slows down under load slows them alike.
inline std::vector<double> medians_ms(const std::vector<Work>& works, int samples = 15, int calls = 4) {
  cudaEvent_t begin, end;
  cuda::check(cudaEventCreate(&begin), "cudaEventCreate");
  cuda::check(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<std::vector<float>> times(works.size());
  int n = 0;
  for (const Work& work : works)
    for (int i = 0; i < 3; ++i) work(n++);  // handles, algorithms, clocks
  for (int s = 0; s < samples; ++s)
    for (size_t w = 0; w < works.size(); ++w) {
      cuda::check(cudaEventRecord(begin), "cudaEventRecord");
      for (int i = 0; i < calls; ++i) works[w](n++);
      cuda::check(cudaEventRecord(end), "cudaEventRecord");
      cuda::check(cudaEventSynchronize(end), "cudaEventSynchronize");
      float ms = 0;
      cuda::check(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
      times[w].push_back(ms / static_cast<float>(calls));
    }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::vector<double> medians;
  for (auto& t : times) {
    std::nth_element(t.begin(), t.begin() + samples / 2, t.end());
    medians.push_back(t[static_cast<size_t>(samples / 2)]);
  }
  return medians;
}

inline double median_ms(const Work& work, int samples = 15, int calls = 4) {
  return medians_ms({work}, samples, calls)[0];
}

inline size_t copies_of(int64_t bytes) { return std::max<size_t>(2, kCold / static_cast<size_t>(bytes) + 1); }

template <class T>
std::vector<std::unique_ptr<T>> copies(size_t count, int64_t rows, int64_t cols) {
  std::vector<std::unique_ptr<T>> all;
  for (size_t i = 0; i < count; ++i) all.push_back(std::make_unique<T>(rows, cols));
  return all;
}

template <class Args>
void run_kernel(const Args& args, const Memory& workspace) {
  static ThreadPool one(1);
  const Kernel<Args>& k = cuda_kernels<Args>()[0];
  LORIKEET_CHECK(!k.reject(args));
  k.run(args, {one, workspace.data()});
}

/// Attention in both directions, one JSON object per line.
void attention_rates();

/// The ops that the memory bounds, beside a copy of `copy` bytes per second, one JSON object per line.
void memory_rates(double copy);

}  // namespace lorikeet::bench
