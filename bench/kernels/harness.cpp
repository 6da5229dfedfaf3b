#include "kernels/harness.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace lorikeet::bench {

namespace {

constexpr double kQuiet = 0.92;           // of the peak, for a sample to count
constexpr double kSampleSeconds = 0.006;  // of work between two probes
constexpr int kSamples = 9, kMostTries = 120;
constexpr size_t kHugePage = size_t{2} << 20;

/// Seconds of wall clock; of this thread's CPU time if LORIKEET_BENCH_CPU_TIME is set, which with one thread
/// gives usable rates on a machine whose CPUs are all taken.
double now() {
  static const clockid_t clock =
      std::getenv("LORIKEET_BENCH_CPU_TIME") && threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// 28 multiply-adds into 14 independent registers, repeated.
#define LORIKEET_ASM_14(op, a)                                                                        \
  op(0, a) op(1, a) op(2, a) op(3, a) op(4, a) op(5, a) op(6, a) op(7, a) op(8, a) op(9, a) op(10, a) \
      op(11, a) op(12, a) op(13, a)
#define LORIKEET_ASM_ZERO(i, a) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n"
#define LORIKEET_ASM_BF16(i, a) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" #i "\n"
#define LORIKEET_ASM_FMA(i, a) "vfmadd231ps %%" a "14, %%" a "15, %%" a #i "\n"
#define LORIKEET_ASM_LOOP(op, a) \
  __asm__ volatile(LORIKEET_ASM_14(LORIKEET_ASM_ZERO, a) "vpxor %%xmm14, %%xmm14, %%xmm14\n"                        \
                   "vpxor %%xmm15, %%xmm15, %%xmm15\n1:\n" LORIKEET_ASM_14(op, a) LORIKEET_ASM_14(op, a)           \
                   "dec %0\njnz 1b\nvzeroupper\n"                                                                  \
                   : "+r"(n)                                                                                       \
                   :                                                                                               \
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",      \
                     "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc")

/// One thread's loop; returns its operations.
double multiply_loop(DType compute, int64_t n) {
  const auto steps = static_cast<double>(n);
#if defined(__x86_64__)
  if (compute == DType::bf16 && cpu_isa() == Isa::avx512bf16) {
    LORIKEET_ASM_LOOP(LORIKEET_ASM_BF16, "zmm");
    return steps * 28 * 64;
  }
  if (cpu_isa() >= Isa::avx512) {
    LORIKEET_ASM_LOOP(LORIKEET_ASM_FMA, "zmm");
    return steps * 28 * 32;
  }
  if (cpu_isa() == Isa::avx2) {
    LORIKEET_ASM_LOOP(LORIKEET_ASM_FMA, "ymm");
    return steps * 28 * 16;
  }
#endif
  double x = 1;
  for (int64_t i = 0; i < n; ++i) benchmark::DoNotOptimize(x = x * 0.5 + 1);
  return steps * 2;
}

double probe(DType compute, int64_t steps) {
  const double start = now();
  double flops = 0;
  pool().for_each(threads(), [&](int64_t, int thread) {
    const double f = multiply_loop(compute, steps);
    if (thread == 0) flops = f;
  });
  if (flops == 0) flops = multiply_loop(compute, 1) * static_cast<double>(steps);
  return flops * threads() / (now() - start) / 1e9;
}

constexpr int64_t kProbeSteps = 100'000;

}  // namespace

int threads() {
  static const int n = [] {
    const char* text = std::getenv("LORIKEET_BENCH_THREADS");
    return text ? std::max(1, std::atoi(text)) : ThreadPool::available_cpus();
  }();
  return n;
}

ThreadPool& pool() {
  static ThreadPool p(threads());
  return p;
}

double peak_gflops(DType compute) {
  static double peak[2] = {};
  double& p = peak[compute == DType::bf16];
  if (p == 0) {
    std::vector<double> rates;
    for (int i = 0; i < 61; ++i) rates.push_back(probe(compute, kProbeSteps));
    std::sort(rates.begin(), rates.end());
    p = rates[57];  // the 95th percentile: a slow phase must not pass as the peak
  }
  return p;
}

void measure(benchmark::State& state, DType compute, double flops, const std::function<void()>& work) {
  // With LORIKEET_BENCH_SMOKE one sample shows that everything runs, however busy the machine is.
  static const bool smoke = std::getenv("LORIKEET_BENCH_SMOKE") != nullptr;
  const auto quiet = [&](double peak) { return smoke || probe(compute, kProbeSteps) >= kQuiet * peak; };
  const double peak = peak_gflops(compute);
  work();
  const double start = now();
  work();
  const double once = std::max(now() - start, 1e-7);
  const auto calls = static_cast<int64_t>(std::max(1.0, kSampleSeconds / once));
  std::vector<double> kept;
  for (auto _ : state) {
    const int samples = smoke ? 1 : kSamples;
    for (int tries = 0; static_cast<int>(kept.size()) < samples && tries < kMostTries; ++tries) {
      if (!quiet(peak)) continue;
      const double t = now();
      for (int64_t i = 0; i < calls; ++i) work();
      const double seconds = (now() - t) / static_cast<double>(calls);
      if (quiet(peak)) kept.push_back(seconds);
    }
    if (kept.empty()) {
      state.SkipWithError("the machine was never quiet");
      break;
    }
    std::sort(kept.begin(), kept.end());
    state.SetIterationTime(kept[kept.size() / 2]);
  }
  if (kept.empty()) return;
  const double rate = flops / kept[kept.size() / 2] / 1e9;
  state.counters["GF/s"] = rate;
  state.counters["peak"] = peak;
  state.counters["percent"] = 100 * rate / peak;
  state.counters["kept"] = static_cast<double>(kept.size());
}

void* shared_workspace(size_t bytes) {
  static std::unique_ptr<Buffer> buffer;
  static size_t size = 0;
  if (bytes > size || !buffer) {
    buffer = std::make_unique<Buffer>(bytes + 64);
    size = bytes;
  }
  return buffer->data();
}

uint32_t next_random() {
  static uint64_t s = 88172645463325252u;
  s ^= s << 13;
  s ^= s >> 7;
  s ^= s << 17;
  return static_cast<uint32_t>(s >> 32);
}

Buffer::Buffer(size_t bytes) : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
  data_ = std::aligned_alloc(kHugePage, bytes_);
  madvise(data_, bytes_, MADV_HUGEPAGE);
}

Buffer::Buffer(int64_t rows, int64_t cols, DType dtype, float scale)
    : Buffer(static_cast<size_t>(rows * cols) * size_of(dtype)) {
  view_ = TensorView(data_, {rows, cols}, dtype);
  for (int64_t i = 0; i < rows * cols; ++i) {
    const float x = scale * (static_cast<float>(next_random() >> 8) * 0x1p-23f - 1);
    if (dtype == DType::bf16)
      static_cast<Bf16*>(data_)[i] = to_bf16(x);
    else
      static_cast<float*>(data_)[i] = x;
  }
}

Buffer::~Buffer() { std::free(data_); }

}  // namespace lorikeet::bench
