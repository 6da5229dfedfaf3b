// Products with frozen weights, and the gradients of weights. A dense matrix goes to cuBLASLt as it lies; a
// bnb4 one is dequantized into the workspace first, which both directions read. Beyond about 64 tokens that
// is faster than a product that decodes for itself, since decoding takes bandwidth once and the product
// arithmetic per token.
#include <algorithm>

#include "backend/cuda/dequantize.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/product.h"
#include "backend/cuda/status.h"

namespace lorikeet::cuda {

namespace {

/// The default stream: KernelContext carries no other.
cudaStream_t queue_of(const KernelContext&) { return nullptr; }

int64_t round_up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

/// Elements from row to row of a dequantized matrix of `cols` columns: rows begin on 16 bytes.
int64_t dequantized_stride(int64_t cols) { return round_up(cols, 8); }

/// Bytes of `w` dequantized to `type`, with `extra` columns beside it; 0 for a dense matrix, which is read
/// where it lies.
size_t dequantized_bytes(const Weight& w, DType type, int64_t extra) {
  if (w.format == WeightFormat::dense) return 0;
  return static_cast<size_t>(
      round_up(w.rows * dequantized_stride(w.cols + extra) * int64_t(size_of(type)), 256));
}

/// `w` as a dense matrix with room for `extra` columns; dequantized to `memory` if need be.
TensorView dense(const Weight& w, DType type, int64_t extra, void* memory, cudaStream_t queue) {
  if (w.format == WeightFormat::dense) return w.dense_view();
  TensorView v(memory, {w.rows, w.cols}, type);
  v.stride = dequantized_stride(w.cols + extra);
  dequantize_bnb4(w, 0, v, queue);
  return v;
}

const char* reject_weight(const Weight& w, DType type) {
  if (w.format != WeightFormat::dense) return reject_bnb4(w);
  if (w.row_map || w.transposed) return "dense weights must lie row after row";
  return w.dtype == type ? nullptr : "dense weights must have the type of x";
}

bool has_type(const TensorView& v, DType type) { return !v || v.dtype == type; }

/// Whether the adapter's part lies behind x in the same rows, so that [x | low] is one matrix.
bool behind_x(const LinearArgs& a) {
  return a.low.stride == a.x.stride && a.low.data == a.x.columns(a.x.cols, 0).data;
}

const char* reject(const LinearArgs& a) {
  const DType type = a.x.dtype;
  if (type != DType::bf16 && type != DType::f32) return "computes in bf16 and f32 only";
  if (a.y.dtype != type && a.y.dtype != DType::f32) return "y must have the type of x or f32";
  if (!has_type(a.bias, a.y.dtype)) return "the bias must have the type of y";
  if (!has_type(a.residual, a.y.dtype)) return "the residual must have the type of y";
  if (!has_type(a.low, type) || !has_type(a.lora_b, type))
    return "the adapter's part must have the type of x";
  return reject_weight(*a.w, type);
}

size_t workspace_bytes(const LinearArgs& a, int) {
  return kProductWorkspace + dequantized_bytes(*a.w, a.x.dtype, a.low.cols);
}

/// y = residual + [x | low] [W | lora_b]^T + bias as one product where W is dequantized anyway and low lies
/// behind x. Elsewhere the adapter's part is added to the residual first: it is small, so that rounding it to
/// y's type costs little; a bf16 y is rounded twice then.
void run(const LinearArgs& a, const KernelContext& c) {
  const cudaStream_t queue = queue_of(c);
  char* memory = static_cast<char*>(c.workspace) + kProductWorkspace;
  const bool one = a.low && a.w->format != WeightFormat::dense && behind_x(a);
  Product p{a.y, a.x, dense(*a.w, a.x.dtype, one ? a.low.cols : 0, memory, queue), true, a.residual, a.bias};
  if (one) {
    const TensorView b = p.right.columns(a.w->cols, a.low.cols);
    const size_t size = size_of(b.dtype);
    check(cudaMemcpy2DAsync(b.data, static_cast<size_t>(b.stride) * size, a.lora_b.data,
                            static_cast<size_t>(a.lora_b.stride) * size, static_cast<size_t>(b.cols) * size,
                            static_cast<size_t>(b.rows), cudaMemcpyDeviceToDevice, queue),
          "cudaMemcpy2DAsync");
    p.left.cols += a.low.cols;
    p.right.cols += a.low.cols;
  } else if (a.low) {
    multiply({a.y, a.low, a.lora_b, true, a.residual, {}}, c.workspace, queue);
    p.add = a.y;
  }
  multiply(p, c.workspace, queue);
}

const char* reject(const LinearDxArgs& a) {
  const DType type = a.dx.dtype;
  if (type != DType::bf16 && type != DType::f32) return "computes in bf16 and f32 only";
  if (!has_type(a.dlow, type) || !has_type(a.lora_a, type))
    return "the adapter's part must have the type of dx";
  for (int i = 0; i < a.count; ++i) {
    if (a.dy[i].dtype != type) return "dy must have the type of dx";
    if (const char* why = reject_weight(*a.w[i], type)) return why;
  }
  return nullptr;
}

/// One dequantized matrix at a time: the stream runs the next dequantization after the product before it.
size_t workspace_bytes(const LinearDxArgs& a, int) {
  size_t largest = 0;
  for (int i = 0; i < a.count; ++i) largest = std::max(largest, dequantized_bytes(*a.w[i], a.dx.dtype, 0));
  return kProductWorkspace + largest;
}

/// The terms are added to dx one after another, the adapter's small one first; a bf16 dx is rounded after
/// each.
void run(const LinearDxArgs& a, const KernelContext& c) {
  const cudaStream_t queue = queue_of(c);
  TensorView sum = a.accumulate ? a.dx : TensorView();
  const auto add = [&](TensorView left, TensorView right) {
    multiply({a.dx, left, right, false, sum, {}}, c.workspace, queue);
    sum = a.dx;
  };
  if (a.dlow) add(a.dlow, a.lora_a);
  for (int i = 0; i < a.count; ++i)
    add(a.dy[i], dense(*a.w[i], a.dx.dtype, 0, static_cast<char*>(c.workspace) + kProductWorkspace, queue));
}

const char* reject(const TokenSumArgs& a) {
  const DType type = a.x.dtype;
  if (type != DType::bf16 && type != DType::f32) return "computes in bf16 and f32 only";
  if (a.dy.dtype != type) return "dy must have the type of x";
  return a.dw.dtype == DType::f32 ? nullptr : "sums into f32 only";
}

size_t workspace_bytes(const TokenSumArgs&, int) { return kProductWorkspace; }

/// One sum over all tokens; how cuBLASLt splits it depends on the shapes alone.
void run(const TokenSumArgs& a, const KernelContext& c) {
  if (a.x.rows == 0) return;
  multiply({a.dw, a.dy, a.x, false, a.dw, {}, true, static_cast<float>(a.scale)}, c.workspace, queue_of(c));
}

}  // namespace

template <>
std::span<const Kernel<LinearArgs>> op_kernels() {
  static constexpr Kernel<LinearArgs> list[] = {{"cuda cuBLASLt", reject, workspace_bytes, run}};
  return list;
}

template <>
std::span<const Kernel<LinearDxArgs>> op_kernels() {
  static constexpr Kernel<LinearDxArgs> list[] = {{"cuda cuBLASLt", reject, workspace_bytes, run}};
  return list;
}

template <>
std::span<const Kernel<TokenSumArgs>> op_kernels() {
  static constexpr Kernel<TokenSumArgs> list[] = {{"cuda cuBLASLt", reject, workspace_bytes, run}};
  return list;
}

}  // namespace lorikeet::cuda
