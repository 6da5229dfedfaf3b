// Rates of the CUDA backend, one JSON object per line: the copy bandwidth and the rate of a large bf16
// product as the two ceilings, dequantization as a share of the first, and linear layers on dense bf16 and
// NF4 weights in both directions. Times are medians of samples between CUDA events; weights and outputs take
// turns, so that nothing stays in the cache. Operands are random: a product of zeros runs faster.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "backend/cuda/dequantize.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"
#include "backend/cuda/status.h"
#include "quant/bnb_tables.h"

namespace lorikeet {
namespace {

constexpr size_t kCold = size_t{512} << 20;  // several times the largest cache
constexpr int64_t kRank = 16;

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

std::mt19937& generator() {
  static std::mt19937 g(1);
  return g;
}
template <class T, class F>
std::vector<T> pattern(F next) {
  std::vector<T> values((size_t{1} << 20) + 7);  // no period in common with a row
  for (T& v : values) v = next();
  return values;
}
const std::vector<Bf16>& random_bf16() {
  static const auto values = pattern<Bf16>(
      [d = std::normal_distribution<float>(0, 0.5f)]() mutable { return to_bf16(d(generator())); });
  return values;
}
const std::vector<uint8_t>& random_bytes() {
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

/// NF4 with double quantization, blocks of 64.
class Nf4 {
 public:
  Nf4(int64_t rows, int64_t cols)
      : codes_(static_cast<size_t>(rows * cols / 2)),
        absmax_(static_cast<size_t>(rows * cols / 64)),
        outer_(static_cast<size_t>(rows * cols / 64 / 256 + 1) * sizeof(float)),
        code_(sizeof kNf4Code),
        nested_code_(sizeof(float) * 256) {
    codes_.tile(random_bytes());
    absmax_.tile(random_bytes());
    outer_.tile(pattern<float>([] { return 0.01f + 1e-4f * static_cast<float>(generator()() % 100); }));
    code_.tile(std::vector<float>(kNf4Code.begin(), kNf4Code.end()));
    const auto& map = dynamic_map_signed();
    nested_code_.tile(std::vector<float>(map.begin(), map.end()));
    w.format = WeightFormat::bnb4;
    w.rows = rows;
    w.cols = cols;
    w.blocksize = 64;
    w.data = codes_.data();
    w.code = static_cast<const float*>(code_.data());
    w.absmax_codes = static_cast<const uint8_t*>(absmax_.data());
    w.nested_absmax = static_cast<const float*>(outer_.data());
    w.nested_code = static_cast<const float*>(nested_code_.data());
    w.nested_offset = 0.03f;
  }
  Weight w;

 private:
  Memory codes_, absmax_, outer_, code_, nested_code_;
};

using Work = std::function<void(int)>;

/// Milliseconds of one call of each work: medians of samples of `calls` calls between two events. The works
/// take turns, so that a card that slows down under load slows them alike.
std::vector<double> medians_ms(const std::vector<Work>& works, int samples = 15, int calls = 4) {
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

double median_ms(const Work& work, int samples = 15, int calls = 4) {
  return medians_ms({work}, samples, calls)[0];
}

size_t copies_of(int64_t bytes) { return std::max<size_t>(2, kCold / static_cast<size_t>(bytes) + 1); }

template <class T>
std::vector<std::unique_ptr<T>> copies(size_t count, int64_t rows, int64_t cols) {
  std::vector<std::unique_ptr<T>> all;
  for (size_t i = 0; i < count; ++i) all.push_back(std::make_unique<T>(rows, cols));
  return all;
}

/// Bytes per second, reading and writing, of a device-to-device copy of 2 GiB.
double copy_rate() {
  constexpr size_t kBytes = size_t{1} << 31;
  Memory from(kBytes), to(kBytes);
  from.tile(random_bytes());
  to.tile(random_bytes());
  const double ms = median_ms([&](int i) {
    cuda::check(cudaMemcpyAsync(i % 2 ? from.data() : to.data(), i % 2 ? to.data() : from.data(), kBytes,
                                cudaMemcpyDeviceToDevice),
                "cudaMemcpyAsync");
  });
  const double rate = 2.0 * kBytes / ms * 1e3;
  std::printf("{\"copy_GBs\":%.0f}\n", rate / 1e9);
  return rate;
}

/// As a share of the large copy, and of copies of as many bytes, which have the same start and end to pay
/// for.
void dequantize(int64_t rows, int64_t cols, int64_t gap, double copy) {
  const size_t count = copies_of(rows * cols * 5 / 2);
  const auto from = copies<Nf4>(count, rows, cols);
  const auto to = copies<Matrix>(count, rows, cols + gap), source = copies<Matrix>(count, rows, cols);
  const double bytes = static_cast<double>(rows * cols) * (0.5 + 1.0 / 64 + 4.0 / (64 * 256) + 2);
  const auto ms =
      medians_ms({[&](int i) {
                    const TensorView out = TensorView(*to[static_cast<size_t>(i) % count]).columns(0, cols);
                    cuda::dequantize_bnb4(from[static_cast<size_t>(i) % count]->w, 0, out, nullptr);
                  },
                  [&](int i) {
                    cuda::check(cudaMemcpyAsync(to[static_cast<size_t>(i) % count]->memory.data(),
                                                source[static_cast<size_t>(i) % count]->memory.data(),
                                                static_cast<size_t>(bytes / 2), cudaMemcpyDeviceToDevice),
                                "cudaMemcpyAsync");
                  }});
  std::printf(
      "{\"dequantize\":\"%ldx%ld\",\"gap\":%ld,\"us\":%.1f,\"GBs\":%.0f,\"percent_of_copy\":%.1f,"
      "\"percent_of_equal_copy\":%.1f}\n",
      rows, cols, gap, ms[0] * 1e3, bytes / ms[0] / 1e6, bytes / ms[0] * 1e3 / copy * 100,
      ms[1] / ms[0] * 100);
}

void square_product(int64_t n) {
  const Matrix a(n, n), b(n, n), c(n, n);
  const Memory workspace(cuda::kProductWorkspace);
  const double ms = median_ms(
      [&](int) {
        cuda::multiply({c, a, b, true, {}, {}}, workspace.data(), nullptr);
      },
      10, 4);
  std::printf("{\"product\":%ld,\"ms\":%.3f,\"TFs\":%.0f}\n", n, ms,
              2e-9 * static_cast<double>(n * n * n) / ms);
}

template <class Args>
void run_kernel(const Args& args, const Memory& workspace) {
  static ThreadPool one(1);
  const Kernel<Args>& k = cuda_kernels<Args>()[0];
  LORIKEET_CHECK(!k.reject(args));
  k.run(args, {one, workspace.data()});
}

struct Weights {
  Weights(int64_t out, int64_t in)
      : nf4(copies<Nf4>(copies_of(out * in / 2), out, in)),
        dense(copies<Matrix>(copies_of(out * in * 2), out, in)) {
    for (const auto& m : dense) views.push_back(Weight::dense(*m));
  }
  const Weight& of(bool quantized, int i) const {
    const auto n = static_cast<size_t>(i);
    return quantized ? nf4[n % nf4.size()]->w : views[n % views.size()];
  }
  std::vector<std::unique_ptr<Nf4>> nf4;
  std::vector<std::unique_ptr<Matrix>> dense;
  std::vector<Weight> views;
};

/// One layer at several numbers of tokens: plain, and with an adapter of rank 16 behind or beside x.
void linear(int64_t out, int64_t in) {
  const Weights w(out, in);
  const Memory workspace(cuda::kProductWorkspace + static_cast<size_t>(out * (in + kRank)) * sizeof(Bf16) +
                         256);
  const Matrix lora_b(out, kRank), lora_a(kRank, in);
  const Matrix decoded(out, in);
  for (const int64_t tokens : {512, 2048, 4096, 8192, 16384}) {
    const Matrix x_low(tokens, in + kRank), low(tokens, kRank), y(tokens, out), dy(tokens, out),
        dx(tokens, in);
    const TensorView x = TensorView(x_low).columns(0, in), behind = TensorView(x_low).columns(in, kRank);
    const auto forward = [&](bool quantized, TensorView low_view) -> Work {
      return [&, quantized, low_view](int i) {
        const TensorView b = low_view ? TensorView(lora_b) : TensorView();
        run_kernel(LinearArgs{y, x, &w.of(quantized, i), {}, {}, low_view, b}, workspace);
      };
    };
    const auto backward = [&](bool quantized, TensorView dlow) -> Work {
      return [&, quantized, dlow](int i) {
        const TensorView a = dlow ? TensorView(lora_a) : TensorView();
        run_kernel(LinearDxArgs{dx, false, 1, {dy}, {&w.of(quantized, i)}, dlow, a}, workspace);
      };
    };
    const auto ms =
        medians_ms({forward(false, {}), forward(true, {}), backward(false, {}), backward(true, {}),
                    forward(true, behind), forward(true, low), forward(false, low), backward(true, low),
                    [&](int i) { cuda::dequantize_bnb4(w.of(true, i), 0, decoded, nullptr); }},
                   10, 3);
    const double flops = 2e-9 * static_cast<double>(tokens * out * in);
    std::printf(
        "{\"linear\":\"%ldx%ld\",\"tokens\":%ld,\"dense_TFs\":%.0f,\"nf4_TFs\":%.0f,\"nf4_percent\":%.1f,"
        "\"dense_dx_TFs\":%.0f,\"nf4_dx_TFs\":%.0f,\"nf4_dx_percent\":%.1f,\"dequantize_us\":%.1f,"
        "\"dequantize_share\":%.1f}\n",
        out, in, tokens, flops / ms[0], flops / ms[1], ms[0] / ms[1] * 100, flops / ms[2], flops / ms[3],
        ms[2] / ms[3] * 100, ms[8] * 1e3, ms[8] / ms[1] * 100);
    // How much longer the adapter makes each of them.
    std::printf(
        "{\"adapter\":\"%ldx%ld\",\"tokens\":%ld,\"nf4_behind_x_percent\":%.1f,\"nf4_beside_x_percent\":%.1f,"
        "\"dense_beside_x_percent\":%.1f,\"nf4_dx_percent\":%.1f}\n",
        out, in, tokens, ms[4] / ms[1] * 100 - 100, ms[5] / ms[1] * 100 - 100, ms[6] / ms[0] * 100 - 100,
        ms[7] / ms[3] * 100 - 100);
    std::fflush(stdout);
  }
}

void run(bool layers) {
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  std::printf("{\"device\":\"%s\",\"multiprocessors\":%d,\"L2_MiB\":%d}\n", properties.name,
              properties.multiProcessorCount, properties.l2CacheSize >> 20);
  const double copy = copy_rate();
  square_product(8192);
  constexpr Shape kLayers[] = {{4096, 4096}, {11008, 4096}, {4096, 11008}, {8192, 28672}};  // 7B's and 70B's
  for (const Shape& s : kLayers)
    for (const int64_t gap : {int64_t{0}, kRank}) dequantize(s.rows, s.cols, gap, copy);
  if (!layers) return;
  for (const Shape& s : kLayers) linear(s.rows, s.cols);
  square_product(8192);  // again: whether the clocks held
}

}  // namespace
}  // namespace lorikeet

int main(int count, char** arguments) {
  try {
    lorikeet::run(count < 2 || std::string_view(arguments[1]) != "dequantize");
    return 0;
  } catch (const lorikeet::Error& e) {
    std::fprintf(stderr, "error: %s\n  where: %s\n", e.what(), e.where().c_str());
    return 1;
  }
}
