#include <cmath>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"

namespace lorikeet::cpu {

namespace {

constexpr const char* kOtherType = "computes in bf16 and f32 only";

bool small_float(const TensorView& v) {
  return v.dtype == DType::f32 || v.dtype == DType::bf16 || v.dtype == DType::f16;
}

/// w + weight_offset as f32.
const float* weight_row(const simd::Table& t, const TensorView& w, double offset, void* workspace) {
  auto* out = static_cast<float*>(workspace);
  t.f32->convert(element_of(w.dtype), static_cast<const char*>(w.data), w.cols, reinterpret_cast<char*>(out));
  if (offset != 0)
    for (int64_t k = 0; k < w.cols; ++k) out[k] = static_cast<float>(static_cast<double>(out[k]) + offset);
  return out;
}
size_t weight_bytes_of(const TensorView& w) { return static_cast<size_t>(w.cols) * sizeof(float); }

}  // namespace

const char* RmsNormOp::reject(const RmsNormArgs& a) {
  return is_compute_type(a.x.dtype) && a.y.dtype == a.x.dtype && small_float(a.w) ? nullptr : kOtherType;
}
size_t RmsNormOp::workspace_bytes(const simd::Table&, const RmsNormArgs& a, int) {
  return weight_bytes_of(a.w);
}
void RmsNormOp::run(const simd::Table& t, const RmsNormArgs& a, const KernelContext& c) {
  const float* w = weight_row(t, a.w, a.weight_offset, c.workspace);
  const simd::TypedOps& ops = typed(t, a.x.dtype);
  const int64_t cols = a.x.cols;
  for_each_row(c.threads, a.x.rows, cols, [&](int64_t r, int) {
    const double mean = static_cast<double>(ops.square_row(row_of(a.x, r), cols)) / static_cast<double>(cols);
    const auto rstd = static_cast<float>(1 / std::sqrt(mean + a.eps));
    if (a.rstd) *a.rstd.row<float>(r) = rstd;
    ops.norm_row(row_of(a.x, r), w, rstd, row_of(a.y, r), cols);
  });
}

const char* RmsNormBwdOp::reject(const RmsNormBwdArgs& a) {
  return is_compute_type(a.x.dtype) && a.dy.dtype == a.x.dtype && small_float(a.w) ? nullptr : kOtherType;
}
size_t RmsNormBwdOp::workspace_bytes(const simd::Table&, const RmsNormBwdArgs& a, int) {
  return weight_bytes_of(a.w);
}
void RmsNormBwdOp::run(const simd::Table& t, const RmsNormBwdArgs& a, const KernelContext& c) {
  const float* w = weight_row(t, a.w, a.weight_offset, c.workspace);
  const simd::TypedOps& ops = typed(t, a.x.dtype);
  const int64_t rows = a.x.rows, cols = a.x.cols, width = t.vector.width;
  if (a.dw)  // before dx, which may overwrite dy
    c.threads.for_each((cols + width - 1) / width, [&](int64_t item, int) {
      const int64_t k = item * width, at = k * static_cast<int64_t>(size_of(a.x.dtype));
      const int n = static_cast<int>(std::min(width, cols - k));
      for (int64_t r = 0; r < rows; r += kTokenChunk)
        ops.column_sum(row_of(a.dy, r) + at, row_bytes(a.dy), row_of(a.x, r) + at, row_bytes(a.x),
                       a.rstd.row<float>(r), std::min(kTokenChunk, rows - r), n, a.dw.row<float>(0) + k);
    });
  if (!a.dx) return;
  for_each_row(c.threads, rows, cols, [&](int64_t r, int) {
    ops.norm_bwd_row(row_of(a.dy, r), row_of(a.x, r), w, *a.rstd.row<float>(r), a.accumulate, row_of(a.dx, r),
                     cols);
  });
}

const char* LayerNormOp::reject(const LayerNormArgs& a) {
  return is_compute_type(a.x.dtype) && a.y.dtype == a.x.dtype && small_float(a.w) &&
                 (!a.b || small_float(a.b))
             ? nullptr
             : kOtherType;
}
size_t LayerNormOp::workspace_bytes(const simd::Table&, const LayerNormArgs& a, int) {
  return 2 * weight_bytes_of(a.w);
}
void LayerNormOp::run(const simd::Table& t, const LayerNormArgs& a, const KernelContext& c) {
  const float* w = weight_row(t, a.w, 0, c.workspace);
  const float* b = a.b ? weight_row(t, a.b, 0, static_cast<float*>(c.workspace) + a.w.cols) : nullptr;
  const simd::TypedOps& ops = typed(t, a.x.dtype);
  const int64_t cols = a.x.cols;
  for_each_row(c.threads, a.x.rows, cols, [&](int64_t r, int) {
    const auto n = static_cast<double>(cols);
    const auto mean = static_cast<float>(static_cast<double>(ops.sum_row(row_of(a.x, r), cols)) / n);
    const double variance = static_cast<double>(ops.deviation_row(row_of(a.x, r), mean, cols)) / n;
    const float stats[2] = {mean, static_cast<float>(1 / std::sqrt(variance + a.eps))};
    if (a.stats) std::copy_n(stats, 2, a.stats.row<float>(r));
    ops.layer_norm_row(row_of(a.x, r), w, b, stats, row_of(a.y, r), cols);
  });
}

const char* LayerNormBwdOp::reject(const LayerNormBwdArgs& a) {
  return is_compute_type(a.x.dtype) && a.dy.dtype == a.x.dtype && small_float(a.w) ? nullptr : kOtherType;
}
size_t LayerNormBwdOp::workspace_bytes(const simd::Table&, const LayerNormBwdArgs& a, int) {
  return weight_bytes_of(a.w);
}
void LayerNormBwdOp::run(const simd::Table& t, const LayerNormBwdArgs& a, const KernelContext& c) {
  const float* w = weight_row(t, a.w, 0, c.workspace);
  const simd::TypedOps& ops = typed(t, a.x.dtype);
  const int64_t rows = a.x.rows, cols = a.x.cols, width = t.vector.width;
  if (a.dw)  // before dx, which may overwrite dy
    c.threads.for_each((cols + width - 1) / width, [&](int64_t item, int) {
      const int64_t k = item * width, at = k * static_cast<int64_t>(size_of(a.x.dtype));
      const int n = static_cast<int>(std::min(width, cols - k));
      for (int64_t r = 0; r < rows; r += kTokenChunk)
        ops.layer_norm_weight_sum(row_of(a.dy, r) + at, row_bytes(a.dy), row_of(a.x, r) + at, row_bytes(a.x),
                                  a.stats.row<float>(r), std::min(kTokenChunk, rows - r), n,
                                  a.dw.row<float>(0) + k);
    });
  if (!a.dx) return;
  for_each_row(c.threads, rows, cols, [&](int64_t r, int) {
    ops.layer_norm_bwd_row(row_of(a.dy, r), row_of(a.x, r), w, a.stats.row<float>(r), a.accumulate,
                           row_of(a.dx, r), cols);
  });
}

}  // namespace lorikeet::cpu
