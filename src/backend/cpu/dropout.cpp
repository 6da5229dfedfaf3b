#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"
#include "core/philox.h"

namespace lorikeet::cpu {

namespace {

/// f(channel, kept) for the channels of one token, four to each counter.
template <class F>
void for_each_draw(const Philox& random, uint64_t first, int64_t n, float p, const F& f) {
  for (int64_t k = 0; k < n;) {
    const uint64_t at = first + static_cast<uint64_t>(k);
    const auto words = random.words(at / 4);
    for (uint64_t j = at % 4; j < 4 && k < n; ++j, ++k)
      f(k, static_cast<float>(words[j] >> 8) * 0x1p-24f >= p);
  }
}

template <class T>
float as_float(T x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return to_float(x);
}
template <class T>
T from_float(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return to_bf16(x);
}

template <class T>
void drop_row(const DropoutArgs& a, const Philox& random, int64_t n) {
  const T* x = a.x.row<T>(n);
  T* y = a.y.row<T>(n);
  const auto position = static_cast<uint64_t>(a.batch->positions[static_cast<size_t>(n)]);
  const auto keep_scale = static_cast<float>(1 / (1 - a.p));
  for_each_draw(random, position * static_cast<uint64_t>(a.x.cols), a.x.cols, static_cast<float>(a.p),
                [&](int64_t k, bool kept) {
                  const float v = kept ? as_float(x[k]) * keep_scale : 0;
                  y[k] = from_float<T>(a.accumulate ? as_float(y[k]) + v : v);
                });
}

}  // namespace

const char* DropoutOp::reject(const DropoutArgs& a) {
  return is_compute_type(a.x.dtype) && a.y.dtype == a.x.dtype ? nullptr : "computes in bf16 and f32 only";
}
size_t DropoutOp::workspace_bytes(const simd::Table&, const DropoutArgs&, int) { return 0; }
void DropoutOp::run(const simd::Table&, const DropoutArgs& a, const KernelContext& c) {
  for (size_t r = 0; r < a.batch->rows.size(); ++r) {
    const RowSpan span = a.batch->rows[r];
    const uint64_t stream = a.stream ^ (static_cast<uint64_t>(a.batch->row_ids[r]) * 0x9E3779B97F4A7C15u);
    const Philox random(a.seed, stream);
    for_each_row(c.threads, span.q_count, a.x.cols, [&](int64_t i, int) {
      if (a.x.dtype == DType::bf16)
        drop_row<Bf16>(a, random, span.q_begin + i);
      else
        drop_row<float>(a, random, span.q_begin + i);
    });
  }
}

}  // namespace lorikeet::cpu
