// The way back from the experts. Choosing them is too little work for more than the portable kernel.
#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"

namespace lorikeet::cpu {

namespace {
constexpr const char* kOtherType = "computes in bf16 and f32 only";
}  // namespace

const char* CombineRowsOp::reject(const CombineRowsArgs& a) {
  return is_compute_type(a.y.dtype) && a.x.dtype == a.y.dtype ? nullptr : kOtherType;
}
/// The sum of one token.
size_t CombineRowsOp::workspace_bytes(const simd::Table&, const CombineRowsArgs& a, int threads) {
  return static_cast<size_t>(threads) * static_cast<size_t>(a.y.cols) * sizeof(float);
}
void CombineRowsOp::run(const simd::Table& t, const CombineRowsArgs& a, const KernelContext& c) {
  const simd::Element type = element_of(a.y.dtype);
  const int64_t cols = a.y.cols;
  for_each_row(c.threads, a.y.rows, cols * (a.rows.top_k + 1), [&](int64_t n, int thread) {
    char* sum = static_cast<char*>(c.workspace) + thread * cols * static_cast<int64_t>(sizeof(float));
    const auto add = [&](const char* x, float weight, bool accumulate) {
      t.vector.scale_row(type, x, weight, accumulate, simd::Element::f32, sum, cols);
    };
    if (a.residual) add(row_of(a.residual, n), 1, false);
    for (int64_t j = 0; j < a.rows.top_k; ++j) {
      const int32_t row = a.rows.row[n * a.rows.top_k + j];
      add(row_of(a.x, row), a.weight ? *a.weight.row<float>(row) : 1.0f, j > 0 || a.residual);
    }
    t.vector.scale_row(simd::Element::f32, sum, 1, false, type, row_of(a.y, n), cols);
  });
}

const char* RowWeightBwdOp::reject(const RowWeightBwdArgs& a) {
  return is_compute_type(a.x.dtype) && a.dy.dtype == a.x.dtype ? nullptr : kOtherType;
}
size_t RowWeightBwdOp::workspace_bytes(const simd::Table&, const RowWeightBwdArgs&, int) { return 0; }
void RowWeightBwdOp::run(const simd::Table& t, const RowWeightBwdArgs& a, const KernelContext& c) {
  const simd::Element type = element_of(a.x.dtype);
  for_each_row(c.threads, a.x.rows, a.x.cols, [&](int64_t i, int) {
    *a.dweight.row<float>(i) = typed(t, a.x.dtype).dot(row_of(a.dy, i), row_of(a.x, i), a.x.cols);
    t.vector.scale_row(type, row_of(a.dy, i), *a.weight.row<float>(i), false, type, row_of(a.dx, i),
                       a.x.cols);
  });
}

}  // namespace lorikeet::cpu
