#include "train/speed_estimate.h"

#include <algorithm>
#include <chrono>

#include "backend/args.h"
#include "core/buffer.h"

namespace lorikeet {

namespace {
constexpr int64_t kRows = 128, kMostIn = 2048, kMostOut = 1024;  // small enough for cache and patience
constexpr int kRepeats = 3;
constexpr double kShareOfProducts =
    0.6;  // attention, norms, the adapter's thin products and hand-offs take the rest
}  // namespace

double measured_flops(ThreadPool& threads, DType compute, const ModelSpec& spec) {
  const int64_t in = std::min(spec.hidden_size, kMostIn), out = std::min(spec.intermediate_size, kMostOut);
  const auto bytes = [&](int64_t count) { return static_cast<size_t>(count) * size_of(compute); };
  const Buffer x(bytes(kRows * in), "speed estimate"), w(bytes(out * in), "speed estimate"),
      y(bytes(kRows * out), "speed estimate");
  const Weight weight = Weight::dense(TensorView(w.data(), {out, in}, compute));
  LinearArgs args{};
  args.y = TensorView(y.data(), {kRows, out}, compute);
  args.x = TensorView(x.data(), {kRows, in}, compute);
  args.w = &weight;
  Arena dry = Arena::dry();
  dispatch({Device::cpu, &threads, &dry}, args);
  Arena arena(dry.high_water() + 4096);
  const Stream stream{Device::cpu, &threads, &arena};
  double least = 1e9;
  for (int i = 0; i <= kRepeats; ++i) {  // the first touches the memory
    const auto begin = std::chrono::steady_clock::now();
    dispatch(stream, args);
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return 2.0 * static_cast<double>(kRows * in) * static_cast<double>(out) / std::max(least, 1e-9);
}

double estimated_tokens_per_second(double flops, const ModelSpec& s, bool trains_base, int64_t kept_blocks,
                                   double target_share) {
  const auto c = static_cast<double>(s.hidden_size);
  const auto blocks = static_cast<double>(s.num_hidden_layers);
  double all_blocks = blocks * c * static_cast<double>(2 * s.q_size() + 2 * s.kv_size());
  for (int64_t i = 0; i < s.num_hidden_layers; ++i) all_blocks += static_cast<double>(s.mlp_elements(i));
  const double passes = trains_base ? 3 : 2;  // forward, gradient of the inputs, gradient of the weights
  const double again =
      0.75 * (blocks - static_cast<double>(kept_blocks));  // a block recorded again skips its last product
  const double head = c * static_cast<double>(s.vocab_size) * passes * target_share;
  return flops * kShareOfProducts / (2 * (all_blocks * (passes + again / blocks) + head));
}

}  // namespace lorikeet
