#pragma once
// How a kernel is timed on a machine that others use too: every sample lies between two short probes of the
// pure multiply rate and counts only if both reached most of the calibrated peak; results are shares of that
// same peak.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/isa.h"

namespace lorikeet::bench {

/// Threads of all benchmarks: LORIKEET_BENCH_THREADS, else all CPUs.
int threads();
ThreadPool& pool();

/// Peak rate of multiply-adds of the process's instruction set on threads() threads, in GF/s: `compute` bf16
/// counts bf16 pairs where the processor has them. Calibrated once.
double peak_gflops(DType compute);

/// Calls `work` (of `flops` operations) in samples of several milliseconds until enough were undisturbed, and
/// sets the counters GF/s, peak and percent from the median sample.
void measure(benchmark::State& state, DType compute, double flops, const std::function<void()>& work);

/// Memory with the huge pages of the activation arena, filled with random bf16 or f32 numbers.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  Buffer(int64_t rows, int64_t cols, DType dtype, float scale = 1);
  ~Buffer();
  Buffer(Buffer&& o) noexcept : data_(o.data_), bytes_(o.bytes_), view_(o.view_) { o.data_ = nullptr; }
  Buffer& operator=(Buffer&&) = delete;
  void* data() const { return data_; }
  operator TensorView() const { return view_; }

 private:
  void* data_;
  size_t bytes_;
  TensorView view_;
};

/// Workspace shared by all calls, of at least `bytes`, as the arena of a training step is.
void* shared_workspace(size_t bytes);

/// Runs the kernel that the CPU backend would choose.
template <class Args>
std::function<void()> kernel_call(const Args& args) {
  const Kernel<Args>& k = select_kernel(Device::cpu, args);
  const size_t bytes = k.workspace_bytes ? k.workspace_bytes(args, threads()) : 0;
  return [args, &k, bytes] { k.run(args, {pool(), shared_workspace(bytes)}); };
}

uint32_t next_random();

}  // namespace lorikeet::bench
