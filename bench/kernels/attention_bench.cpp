// Causal attention; useful operations only: the lower triangle, the backward counted as five products.
#include <cmath>

#include "backend/args.h"
#include "kernels/harness.h"

namespace lorikeet::bench {
namespace {

void attention(benchmark::State& state, DType type, int32_t rows, int32_t length, Heads heads,
               bool backward) {
  const int64_t n = int64_t{rows} * length, width = int64_t{heads.q} * heads.dim,
                kv_width = int64_t{heads.kv} * heads.dim;
  const Buffer q(n, width, type), k(n, kv_width, type), v(n, kv_width, type), dout(n, width, type),
      o(n, width, type);
  const Buffer lse(n, heads.q, DType::f32), delta(n, heads.q, DType::f32), dq(n, width, type),
      dk(n, kv_width, type), dv(n, kv_width, type);
  std::vector<RowSpan> spans;
  for (int32_t r = 0; r < rows; ++r) spans.push_back({r * length, length, r * length, length});
  const double scale = 1 / std::sqrt(heads.dim);
  const auto forward = kernel_call(AttentionArgs{o, lse, q, k, v, spans, heads, scale, 0, 0});
  forward();
  const double pairs = 0.5 * length * (length + 1.0) * rows;
  const double flops = 4.0 * heads.q * heads.dim * pairs;
  if (!backward) return measure(state, type, flops, forward);
  measure(state, type, 2.5 * flops,
          kernel_call(AttentionBwdArgs{dq, dk, dv, delta, dout, o, lse, q, k, v, spans, heads, scale, 0, 0}));
}

const bool registered = [] {
  struct Point {
    int32_t rows, length;
    Heads heads;
  };
  for (const Point& p : {Point{4, 512, {9, 3, 64}}, Point{1, 2048, {9, 3, 64}}, Point{1, 2048, {8, 8, 64}},
                         Point{1, 8192, {8, 8, 64}}, Point{4, 512, {32, 4, 64}}, Point{1, 2048, {8, 8, 128}},
                         Point{4, 512, {32, 32, 128}}})
    for (const DType type : {DType::bf16, DType::f32})
      for (const bool backward : {false, true})
        benchmark::RegisterBenchmark(
            fmt::format("attention{}/{}/{}x{}/heads{}:{}/D{}", backward ? "_bwd" : "", name_of(type), p.rows,
                        p.length, p.heads.q, p.heads.kv, p.heads.dim)
                .c_str(),
            [=](benchmark::State& s) { attention(s, type, p.rows, p.length, p.heads, backward); })
            ->UseManualTime()
            ->Iterations(1)
            ->Unit(benchmark::kMillisecond);
  return true;
}();

}  // namespace
}  // namespace lorikeet::bench
