// Rates of the CUDA backend, one JSON object per line: the copy bandwidth and the rate of a large bf16
// product as the two ceilings, the ops that the memory bounds and dequantization as a share of the first,
// linear layers on dense bf16 and NF4 weights in both directions, and attention. Times are medians of samples
// between CUDA events; operands take turns, so that nothing stays in the cache. They are random: a product of
// zeros runs faster.
#include "cuda/cuda_bench.h"

#include <cstdio>
#include <string_view>

#include "backend/cuda/dequantize.h"
#include "backend/cuda/product.h"
#include "quant/bnb_tables.h"

namespace lorikeet::bench {
namespace {

constexpr int64_t kRank = 16;

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

/// part: "memory", "dequantize", "attention" or everything.
void run(std::string_view part) {
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  std::printf("{\"device\":\"%s\",\"multiprocessors\":%d,\"L2_MiB\":%d}\n", properties.name,
              properties.multiProcessorCount, properties.l2CacheSize >> 20);
  const double copy = copy_rate();
  if (part.empty() || part == "memory") memory_rates(copy);
  if (part == "memory") return;
  square_product(8192);
  if (part.empty() || part == "attention") attention_rates();
  if (part == "attention") return;
  constexpr Shape kLayers[] = {{4096, 4096}, {11008, 4096}, {4096, 11008}, {8192, 28672}};  // 7B's and 70B's
  for (const Shape& s : kLayers)
    for (const int64_t gap : {int64_t{0}, kRank}) dequantize(s.rows, s.cols, gap, copy);
  if (part == "dequantize") return;
  for (const Shape& s : kLayers) linear(s.rows, s.cols);
  square_product(8192);  // again: whether the clocks held
}

}  // namespace
}  // namespace lorikeet::bench

int main(int count, char** arguments) {
  try {
    lorikeet::bench::run(count < 2 ? "" : arguments[1]);
    return 0;
  } catch (const lorikeet::Error& e) {
    std::fprintf(stderr, "error: %s\n  where: %s\n", e.what(), e.where().c_str());
    return 1;
  }
}
