// The ops that draw: dropout and NEFTune's noise.
#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"

namespace lorikeet::cpu {

namespace {

constexpr int64_t kDraws = 1024;  // channels at a time
constexpr const char* kOtherType = "computes in bf16 and f32 only";

/// f(draws, channel, width) for the channels of one token: its draws are elements first, first + 1, ... of
/// the stream, four to a counter.
template <class F>
void draw_token(const simd::Table& t, uint64_t seed, uint64_t stream, int32_t position, int64_t cols,
                const F& f) {
  const uint64_t first = static_cast<uint64_t>(position) * static_cast<uint64_t>(cols);
  alignas(64) float draws[kDraws + 4 + 4 * 16];
  for (int64_t k = 0; k < cols; k += kDraws) {
    const int64_t width = std::min(kDraws, cols - k);
    const uint64_t at = first + static_cast<uint64_t>(k);
    const auto skip = static_cast<int64_t>(at % 4);
    t.vector.uniform(seed, stream, at / 4, (skip + width + 3) / 4, draws);
    f(draws + skip, k, width);
  }
}

/// f(span, token, draws, channel, width) for every token of the micro-batch.
template <class Args, class F>
void for_each_draw(const simd::Table& t, const Args& a, const KernelContext& c, const F& f) {
  for (size_t r = 0; r < a.batch->rows.size(); ++r) {
    const RowSpan span = a.batch->rows[r];
    const uint64_t stream = a.stream ^ (static_cast<uint64_t>(a.batch->row_ids[r]) * 0x9E3779B97F4A7C15u);
    for_each_row(c.threads, span.q_count, a.y.cols, [&](int64_t i, int) {
      const int64_t n = span.q_begin + i;
      draw_token(t, a.seed, stream, a.batch->positions[static_cast<size_t>(n)], a.y.cols,
                 [&](float* draws, int64_t k, int64_t width) { f(span, n, draws, k, width); });
    });
  }
}

}  // namespace

const char* DropoutOp::reject(const DropoutArgs& a) {
  return is_compute_type(a.x.dtype) && a.y.dtype == a.x.dtype ? nullptr : kOtherType;
}
size_t DropoutOp::workspace_bytes(const simd::Table&, const DropoutArgs&, int) { return 0; }
void DropoutOp::run(const simd::Table& t, const DropoutArgs& a, const KernelContext& c) {
  const auto keep_scale = static_cast<float>(a.scale / (1 - a.p));
  const auto size = static_cast<int64_t>(size_of(a.x.dtype));
  for_each_draw(t, a, c, [&](const RowSpan&, int64_t n, const float* draws, int64_t k, int64_t width) {
    t.vector.drop_row(element_of(a.x.dtype), row_of(a.x, n) + k * size, draws, static_cast<float>(a.p),
                      keep_scale, a.accumulate, row_of(a.y, n) + k * size, width);
  });
}

const char* NoiseOp::reject(const NoiseArgs& a) { return is_compute_type(a.y.dtype) ? nullptr : kOtherType; }
size_t NoiseOp::workspace_bytes(const simd::Table&, const NoiseArgs&, int) { return 0; }
void NoiseOp::run(const simd::Table& t, const NoiseArgs& a, const KernelContext& c) {
  const auto size = static_cast<int64_t>(size_of(a.y.dtype));
  for_each_draw(t, a, c, [&](const RowSpan& span, int64_t n, float* draws, int64_t k, int64_t width) {
    for (int64_t i = 0; i < width; ++i) draws[i] = 2 * draws[i] - 1;
    t.vector.scale_row(simd::Element::f32, reinterpret_cast<const char*>(draws),
                       static_cast<float>(a.amplitude(span.q_count)), true, element_of(a.y.dtype),
                       row_of(a.y, n) + k * size, width);
  });
}

}  // namespace lorikeet::cpu
