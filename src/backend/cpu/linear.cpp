#include "backend/cpu/linear.h"

#include "backend/cpu/product.h"

namespace lorikeet::cpu {

namespace {

constexpr const char* kOtherType = "computes in bf16 and f32 only";
constexpr const char* kOtherWeight = "dense weights must be f32, bf16 or f16";

bool weight_ok(const Weight& w) {
  return w.format != WeightFormat::dense || (w.dtype != DType::f64 && w.dtype != DType::c128);
}
bool small_float(const TensorView& v) {
  return !v || v.dtype == DType::f32 || v.dtype == DType::bf16 || v.dtype == DType::f16;
}

Product forward(const simd::Table& t, const LinearArgs& a) {
  Product p;
  p.out = a.y;
  p.add = a.residual;
  p.bias = a.bias;
  p.planned_rows = a.planned_rows;
  p.lone = a.lone;
  p.table = &t;
  p.ops = &panel_ops(t, a.x.dtype);
  p.add_term(a.x, RightSide(*a.w, RightSide::Axis::columns, *p.ops));
  if (a.low) p.add_term(a.low, RightSide(a.lora_b, RightSide::Axis::columns, *p.ops));
  return p;
}

Product backward(const simd::Table& t, const LinearDxArgs& a) {
  Product p;
  p.out = a.dx;
  if (a.accumulate) p.add = a.dx;
  p.planned_rows = a.planned_rows;
  p.table = &t;
  p.ops = &panel_ops(t, a.dx.dtype);
  for (int i = 0; i < a.count; ++i) p.add_term(a.dy[i], RightSide(*a.w[i], RightSide::Axis::rows, *p.ops));
  if (a.dlow) p.add_term(a.dlow, RightSide(a.lora_a, RightSide::Axis::rows, *p.ops));
  return p;
}

}  // namespace

const char* LinearOp::reject(const LinearArgs& a) {
  if (!is_compute_type(a.x.dtype) || !is_compute_type(a.y.dtype)) return kOtherType;
  if (!weight_ok(*a.w) || !small_float(a.bias)) return kOtherWeight;
  return nullptr;
}
size_t LinearOp::workspace_bytes(const simd::Table& t, const LinearArgs& a, int threads) {
  return product_workspace_bytes(forward(t, a), threads);
}
void LinearOp::run(const simd::Table& t, const LinearArgs& a, const KernelContext& c) {
  run_product(forward(t, a), c);
}

const char* LinearDxOp::reject(const LinearDxArgs& a) {
  if (!is_compute_type(a.dx.dtype)) return kOtherType;
  for (int i = 0; i < a.count; ++i)
    if (!weight_ok(*a.w[i])) return kOtherWeight;
  return nullptr;
}
size_t LinearDxOp::workspace_bytes(const simd::Table& t, const LinearDxArgs& a, int threads) {
  return product_workspace_bytes(backward(t, a), threads);
}
void LinearDxOp::run(const simd::Table& t, const LinearDxArgs& a, const KernelContext& c) {
  run_product(backward(t, a), c);
}

}  // namespace lorikeet::cpu
