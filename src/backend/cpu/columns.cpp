// Sums and factors by column: bias gradients, and DoRA's magnitudes and norms.
#include <cmath>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"
#include "quant/decode.h"

namespace lorikeet::cpu {

namespace {

constexpr const char* kOtherType = "computes in bf16 and f32 only";

const float* floats_of(const TensorView& v) { return v ? v.row<float>(0) : nullptr; }

/// Row o of W + lora_b lora_a, a tile at a time: the sum of squares.
double squares_of_row(const simd::Table& t, const DoraScaleArgs& a, int64_t o) {
  constexpr int64_t kTile = 512;
  const auto type = element_of(a.lora_a.dtype);
  const auto size = static_cast<int64_t>(size_of(a.lora_a.dtype));
  alignas(64) float tile[kTile];
  double squares = 0;
  for (int64_t first = 0; first < a.w->cols; first += kTile) {
    const int64_t n = std::min(kTile, a.w->cols - first);
    decode_rows(*a.w, o, o + 1, first, first + n, tile, n);
    for (int64_t r = 0; r < a.lora_a.rows; ++r) {
      const float b =
          a.lora_b.dtype == DType::bf16 ? to_float(a.lora_b.row<Bf16>(o)[r]) : a.lora_b.row<float>(o)[r];
      if (b == 0) continue;  // padding, and every B at the start
      t.vector.scale_row(type, row_of(a.lora_a, r) + first * size, b, true, simd::Element::f32,
                         reinterpret_cast<char*>(tile), n);
    }
    squares += t.vector.square_sum(tile, n);
  }
  return squares;
}

}  // namespace

const char* ColumnSumOp::reject(const ColumnSumArgs& a) {
  return is_compute_type(a.dy.dtype) && a.db.dtype == DType::f32 ? nullptr : kOtherType;
}
size_t ColumnSumOp::workspace_bytes(const simd::Table&, const ColumnSumArgs&, int) { return 0; }
void ColumnSumOp::run(const simd::Table& t, const ColumnSumArgs& a, const KernelContext& c) {
  constexpr int kMostLanes = 16;
  const int64_t rows = a.dy.rows, cols = a.dy.cols, width = t.vector.width;
  const float* weight = floats_of(a.weight);
  LORIKEET_CHECK(width <= kMostLanes);
  c.threads.for_each((cols + width - 1) / width, [&](int64_t item, int) {
    const int64_t k = item * width, at = k * static_cast<int64_t>(size_of(a.dy.dtype));
    const int n = static_cast<int>(std::min(width, cols - k));
    float sums[kMostLanes] = {};
    float* out = weight ? sums : a.db.row<float>(0) + k;
    for (int64_t r = 0; r < rows; r += kTokenChunk)
      typed(t, a.dy.dtype)
          .column_sum(row_of(a.dy, r) + at, row_bytes(a.dy), a.x ? row_of(a.x, r) + at : nullptr,
                      row_bytes(a.x), nullptr, std::min(kTokenChunk, rows - r), n, out);
    for (int i = 0; weight && i < n; ++i) a.db.row<float>(0)[k + i] += weight[k + i] * sums[i];
  });
}

const char* ScaleColumnsOp::reject(const ScaleColumnsArgs& a) {
  if (!is_compute_type(a.x.dtype) || a.y.dtype != a.x.dtype) return kOtherType;
  return a.scale.dtype == DType::f32 && (!a.bias || a.bias.dtype == DType::f32) ? nullptr
                                                                                : "takes f32 factors only";
}
size_t ScaleColumnsOp::workspace_bytes(const simd::Table&, const ScaleColumnsArgs&, int) { return 0; }
void ScaleColumnsOp::run(const simd::Table& t, const ScaleColumnsArgs& a, const KernelContext& c) {
  const auto scale_columns = typed(t, a.x.dtype).scale_columns;
  for_each_row(c.threads, a.x.rows, a.x.cols, [&](int64_t r, int) {
    scale_columns(row_of(a.x, r), floats_of(a.scale), static_cast<float>(a.offset), floats_of(a.bias),
                  a.residual ? row_of(a.residual, r) : nullptr, row_of(a.y, r), a.x.cols);
  });
}

const char* DoraScaleOp::reject(const DoraScaleArgs& a) {
  return is_compute_type(a.lora_a.dtype) && a.lora_b.dtype == a.lora_a.dtype ? nullptr : kOtherType;
}
size_t DoraScaleOp::workspace_bytes(const simd::Table&, const DoraScaleArgs&, int) { return 0; }
void DoraScaleOp::run(const simd::Table& t, const DoraScaleArgs& a, const KernelContext& c) {
  for_each_row(c.threads, a.w->rows, a.w->cols, [&](int64_t o, int) {
    const double squares = squares_of_row(t, a, o);
    const auto inverse = static_cast<float>(squares > 0 ? 1 / std::sqrt(squares) : 0);
    a.inverse_norm.row<float>(0)[o] = inverse;
    a.scale.row<float>(0)[o] = inverse * a.magnitude.row<float>(0)[o];
  });
}

}  // namespace lorikeet::cpu
