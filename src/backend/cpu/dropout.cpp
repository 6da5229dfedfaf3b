#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"

namespace lorikeet::cpu {

namespace {

constexpr int64_t kDraws = 1024;  // channels at a time

/// Channels of one token: its draws are elements first, first + 1, ... of the stream, four to a counter.
void drop_token(const simd::Table& t, const DropoutArgs& a, uint64_t stream, int64_t n) {
  const auto keep_scale = static_cast<float>(1 / (1 - a.p));
  const auto size = static_cast<int64_t>(size_of(a.x.dtype));
  const uint64_t first =
      static_cast<uint64_t>(a.batch->positions[static_cast<size_t>(n)]) * static_cast<uint64_t>(a.x.cols);
  alignas(64) float draws[kDraws + 4 + 4 * 16];
  for (int64_t k = 0; k < a.x.cols; k += kDraws) {
    const int64_t width = std::min(kDraws, a.x.cols - k);
    const uint64_t at = first + static_cast<uint64_t>(k);
    const auto skip = static_cast<int64_t>(at % 4);
    t.vector.uniform(a.seed, stream, at / 4, (skip + width + 3) / 4, draws);
    t.vector.drop_row(element_of(a.x.dtype), row_of(a.x, n) + k * size, draws + skip, static_cast<float>(a.p),
                      keep_scale, a.accumulate, row_of(a.y, n) + k * size, width);
  }
}

}  // namespace

const char* DropoutOp::reject(const DropoutArgs& a) {
  return is_compute_type(a.x.dtype) && a.y.dtype == a.x.dtype ? nullptr : "computes in bf16 and f32 only";
}
size_t DropoutOp::workspace_bytes(const simd::Table&, const DropoutArgs&, int) { return 0; }
void DropoutOp::run(const simd::Table& t, const DropoutArgs& a, const KernelContext& c) {
  for (size_t r = 0; r < a.batch->rows.size(); ++r) {
    const RowSpan span = a.batch->rows[r];
    const uint64_t stream = a.stream ^ (static_cast<uint64_t>(a.batch->row_ids[r]) * 0x9E3779B97F4A7C15u);
    for_each_row(c.threads, span.q_count, a.x.cols,
                 [&](int64_t i, int) { drop_token(t, a, stream, span.q_begin + i); });
  }
}

}  // namespace lorikeet::cpu
