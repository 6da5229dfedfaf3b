// Attention by cuDNN. Half of the products of a square of tokens count, those that the causal mask leaves: 2
// * heads * dim per pair of tokens forward, and 2.5 times that backward.
#include <chrono>
#include <cstdio>

#include "backend/cuda/attention.h"
#include "cuda/cuda_bench.h"

namespace lorikeet::bench {

namespace {

std::vector<RowSpan> rows_of(const std::vector<int32_t>& lengths) {
  std::vector<RowSpan> rows;
  int32_t at = 0;
  for (const int32_t n : lengths) {
    rows.push_back({at, n, at, n});
    at += n;
  }
  return rows;
}

class Statistics {
 public:
  Statistics(int64_t tokens, int64_t heads)
      : memory_(static_cast<size_t>(tokens * heads) * sizeof(float)), shape_{tokens, heads} {}
  operator TensorView() const { return TensorView(memory_.data(), shape_, DType::f32); }

 private:
  Memory memory_;
  Shape shape_;
};

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void attention(const char* name, Heads heads, const std::vector<int32_t>& lengths, int64_t window = 0) {
  const std::vector<RowSpan> rows = rows_of(lengths);
  const int64_t tokens = rows.back().q_begin + rows.back().q_count;
  const Matrix q(tokens, heads.q * heads.dim), o(tokens, heads.q * heads.dim),
      dout(tokens, heads.q * heads.dim), dq(tokens, heads.q * heads.dim), k(tokens, heads.kv * heads.dim),
      v(tokens, heads.kv * heads.dim), dk(tokens, heads.kv * heads.dim), dv(tokens, heads.kv * heads.dim);
  const Statistics lse(tokens, heads.q), delta(tokens, heads.q);
  const double scale = 1 / std::sqrt(heads.dim);
  const AttentionArgs forward{o, lse, q, k, v, rows, heads, scale, window};
  const AttentionBwdArgs backward{dq, dk, dv, delta, dout, o, lse, q, k, v, rows, heads, scale, window};
  size_t forward_bytes = 0, ordered_bytes = 0, atomic_bytes = 0;
  const double plan_s = seconds([&] {
    forward_bytes = cuda_kernels<AttentionArgs>()[0].workspace_bytes(forward, 1);
    ordered_bytes = cuda::attention_bwd_workspace(backward, cuda::DqSum::ordered);
    atomic_bytes = cuda::attention_bwd_workspace(backward, cuda::DqSum::atomic);
  });
  const Memory workspace(std::max({forward_bytes, ordered_bytes, atomic_bytes}));
  run_kernel(forward, workspace);  // the backward needs its statistics
  const auto ms = medians_ms(
      {[&](int) { run_kernel(forward, workspace); },
       [&](int) { cuda::attention_bwd(backward, cuda::DqSum::ordered, workspace.data(), nullptr); },
       [&](int) { cuda::attention_bwd(backward, cuda::DqSum::atomic, workspace.data(), nullptr); }},
      10, 4);
  double pairs = 0;
  for (const double n : lengths) {
    const double out = window > 0 ? std::max(0.0, n - static_cast<double>(window)) : 0;
    pairs += (n * n - out * out) / 2;
  }
  const double flops = 4e-9 * pairs * heads.q * heads.dim;
  std::printf(
      "{\"attention\":\"%s\",\"heads\":\"%d/%d\",\"dim\":%d,\"tokens\":%ld,\"forward_ms\":%.3f,"
      "\"forward_TFs\":%.0f,\"ordered_backward_ms\":%.3f,\"ordered_backward_TFs\":%.0f,"
      "\"atomic_backward_ms\":%.3f,\"atomic_backward_TFs\":%.0f,\"forward_MiB\":%.1f,\"ordered_MiB\":%.1f,"
      "\"atomic_MiB\":%.1f,\"three_plans_s\":%.2f}\n",
      name, heads.q, heads.kv, heads.dim, tokens, ms[0], flops / ms[0], ms[1], 2.5 * flops / ms[1], ms[2],
      2.5 * flops / ms[2], static_cast<double>(forward_bytes) / 1048576,
      static_cast<double>(ordered_bytes) / 1048576, static_cast<double>(atomic_bytes) / 1048576, plan_s);
  std::fflush(stdout);
}

}  // namespace

void attention_rates() {
  for (const Heads heads : {Heads{32, 8, 128}, Heads{32, 8, 64}, Heads{9, 3, 64}, Heads{16, 16, 128}}) {
    attention("4x2048", heads, {2048, 2048, 2048, 2048});
    attention("1x2048", heads, {2048});
  }
  attention("1x8192", {32, 8, 128}, {8192});
  attention("2x16384", {32, 8, 128}, {16384, 16384});
  attention("1x8192, window 1024", {32, 8, 128}, {8192}, 1024);
  attention("packed 8192", {32, 8, 128}, {317, 2048, 1203, 77, 640, 1900, 988, 1019});
  attention("packed 8192", {9, 3, 64}, {317, 2048, 1203, 77, 640, 1900, 988, 1019});
}

}  // namespace lorikeet::bench
