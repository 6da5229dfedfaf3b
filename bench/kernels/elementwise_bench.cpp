// Element-wise kernels on 2048 tokens; the rate counts bytes read and written.
#include "backend/args.h"
#include "kernels/harness.h"

namespace lorikeet::bench {
namespace {

constexpr int64_t kTokens = 2048;

/// As measure(), with bytes in the place of operations.
void bandwidth(benchmark::State& state, double bytes, const std::function<void()>& work) {
  measure(state, DType::bf16, bytes, work);
  state.counters["GB/s"] = state.counters["GF/s"];
  state.counters.erase("GF/s");
  state.counters.erase("percent");
}

void norm(benchmark::State& state, DType type, int64_t cols, bool backward) {
  const Buffer x(kTokens, cols, type), y(kTokens, cols, type), w(1, cols, DType::f32),
      rstd(kTokens, 1, DType::f32);
  const double bytes = static_cast<double>(kTokens * cols) * static_cast<double>(size_of(type));
  if (backward)
    bandwidth(state, 3 * bytes, kernel_call(RmsNormBwdArgs{y, {}, y, x, w, rstd, 0, false}));
  else
    bandwidth(state, 2 * bytes, kernel_call(RmsNormArgs{y, rstd, x, w, 1e-5, 0}));
}

void gate(benchmark::State& state, DType type, int64_t cols, bool backward) {
  const Buffer g(kTokens, cols, type), u(kTokens, cols, type), y(kTokens, cols, type);
  const Buffer dg(kTokens, cols, type), du(kTokens, cols, type);
  const double bytes = static_cast<double>(kTokens * cols) * static_cast<double>(size_of(type));
  if (backward)
    bandwidth(state, 5 * bytes, kernel_call(GatedActivationBwdArgs{dg, du, y, g, u, Activation::silu}));
  else
    bandwidth(state, 3 * bytes, kernel_call(GatedActivationArgs{y, g, u, Activation::silu}));
}

void rope(benchmark::State& state, DType type, int64_t cols) {
  const Buffer x(kTokens, cols, type), cos(kTokens, 32, DType::f32), sin(kTokens, 32, DType::f32);
  std::vector<int32_t> at(kTokens);
  for (int32_t i = 0; i < kTokens; ++i) at[static_cast<size_t>(i)] = i;
  bandwidth(state, 2.0 * static_cast<double>(kTokens * cols) * static_cast<double>(size_of(type)),
            kernel_call(RopeArgs{x, x, cos, sin, at.data(), 64, 64, 1, false}));
}

void cross_entropy(benchmark::State& state, int64_t vocab) {
  constexpr int64_t kRows = 256;
  const Buffer logits(kRows, vocab, DType::f32, 3), dlogits(kRows, vocab, DType::bf16),
      loss(kRows, 2, DType::f32), sum(1, 2, DType::f32);
  const TensorView row_loss(loss.data(), {kRows, 1}, DType::f64), loss_sum(sum.data(), {1, 1}, DType::f64);
  const std::vector<int32_t> target(kRows, 7);
  bandwidth(
      state, static_cast<double>(kRows * vocab) * 6,
      kernel_call(CrossEntropyArgs{dlogits, row_loss, loss_sum, logits, target.data(), nullptr, 1, 1, 0}));
}

constexpr AdamWSettings kAdamW{1e-4, 0.9, 0.999, 1e-8, 0.01, 1, 10};

void adamw(benchmark::State& state, int64_t n) {
  const Buffer p(1, n, DType::f32), g(1, n, DType::f32), m(1, n, DType::f32), v(1, n, DType::f32);
  bandwidth(state, static_cast<double>(n) * 28,
            kernel_call(AdamWArgs{p, g, m, v, kAdamW, {}, BlockRange::all(p)}));
}

void adamw_8bit(benchmark::State& state, int64_t n) {
  const Buffer p(1, n, DType::f32), g(1, n, DType::f32);
  std::vector<uint8_t> codes[2];
  std::vector<float> absmax[2];
  for (int i = 0; i < 2; ++i) {
    codes[i].resize(static_cast<size_t>(n));
    absmax[i].resize(static_cast<size_t>(BlockRange::all(p).last));
  }
  bandwidth(state, static_cast<double>(n) * 16,
            kernel_call(AdamW8bitArgs{p,
                                      g,
                                      {codes[0].data(), absmax[0].data()},
                                      {codes[1].data(), absmax[1].data()},
                                      kAdamW,
                                      {},
                                      BlockRange::all(p)}));
}

void dropout(benchmark::State& state, int64_t cols) {
  const Buffer x(kTokens, cols, DType::bf16), y(kTokens, cols, DType::bf16);
  std::vector<int32_t> positions(kTokens), tokens(kTokens);
  for (int32_t i = 0; i < kTokens; ++i) positions[static_cast<size_t>(i)] = i;
  const std::vector<RowSpan> rows = {{0, kTokens, 0, kTokens}};
  const std::vector<int64_t> ids = {3};
  MicroBatch batch;
  batch.tokens = tokens;
  batch.positions = positions;
  batch.rows = rows;
  batch.row_ids = ids;
  bandwidth(state, static_cast<double>(kTokens * cols) * 4,
            kernel_call(DropoutArgs{y, x, 0.05, 1, 2, &batch, false}));
}

template <class F, class... A>
void add(const std::string& name, F* f, A... args) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& s) { f(s, args...); })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

const bool registered = [] {
  for (const DType type : {DType::bf16, DType::f32})
    for (const bool backward : {false, true}) {
      const std::string end = fmt::format("{}/{}", backward ? "_bwd" : "", name_of(type));
      add("rms_norm" + end, norm, type, int64_t{576}, backward);
      add("gated_activation" + end, gate, type, int64_t{1536}, backward);
      if (!backward) add("rope" + end, rope, type, int64_t{576});
    }
  add("cross_entropy/49152", cross_entropy, int64_t{49152});
  add("adamw/4.9M", adamw, int64_t{4884480});
  add("adamw_8bit/4.9M", adamw_8bit, int64_t{4884480});
  add("dropout/576", dropout, int64_t{576});
  return true;
}();

}  // namespace
}  // namespace lorikeet::bench
