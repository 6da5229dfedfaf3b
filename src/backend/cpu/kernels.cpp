// The CPU's kernel lists: fastest first, the portable kernels last.
#include "backend/ref/kernels.h"

#include "backend/cpu/attention.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/linear.h"

namespace lorikeet {

namespace {

constexpr const char* kBf16 = "portable bfloat16";
constexpr const char* kF32 = "portable float32";

/// Rows for every instruction set, then the portable ones.
template <class Op, class Args, class... Portable>
std::span<const Kernel<Args>> simd_list(const Portable&... portable) {
  static const Kernel<Args> list[] = {cpu::simd_row<Op, Args, Isa::avx512bf16>(),
                                      cpu::simd_row<Op, Args, Isa::avx512>(),
                                      cpu::simd_row<Op, Args, Isa::avx2>(), portable...};
  return list;
}
template <class Op, class Args>
std::span<const Kernel<Args>> simd_list_both() {
  return simd_list<Op, Args>(ref::portable<Bf16, Args>(kBf16), ref::portable<float, Args>(kF32));
}

}  // namespace

// Rows that are only copied, for which memcpy is as fast as any instruction set, and the choice of experts, a
// few numbers a token.
template <class Args>
std::span<const Kernel<Args>> cpu_kernels() {
  static constexpr Kernel<Args> list[] = {ref::portable<Bf16, Args>(kBf16), ref::portable<float, Args>(kF32)};
  return list;
}
template std::span<const Kernel<GatherRowsArgs>> cpu_kernels();
template std::span<const Kernel<ScatterRowsArgs>> cpu_kernels();
template std::span<const Kernel<RouteArgs>> cpu_kernels();
template std::span<const Kernel<RouteBwdArgs>> cpu_kernels();
template <>
std::span<const Kernel<ZeroArgs>> cpu_kernels() {
  return {&ref::kZero, 1};
}

template <>
std::span<const Kernel<LinearArgs>> cpu_kernels() {
  return simd_list_both<cpu::LinearOp, LinearArgs>();
}
template <>
std::span<const Kernel<LinearDxArgs>> cpu_kernels() {
  return simd_list_both<cpu::LinearDxOp, LinearDxArgs>();
}
template <>
std::span<const Kernel<TokenSumArgs>> cpu_kernels() {
  return simd_list_both<cpu::TokenSumOp, TokenSumArgs>();
}
template <>
std::span<const Kernel<AttentionArgs>> cpu_kernels() {
  return simd_list_both<cpu::AttentionOp, AttentionArgs>();
}
template <>
std::span<const Kernel<AttentionBwdArgs>> cpu_kernels() {
  return simd_list_both<cpu::AttentionBwdOp, AttentionBwdArgs>();
}
template <>
std::span<const Kernel<ColumnSumArgs>> cpu_kernels() {
  return simd_list_both<cpu::ColumnSumOp, ColumnSumArgs>();
}
template <>
std::span<const Kernel<EmbeddingArgs>> cpu_kernels() {
  return simd_list_both<cpu::EmbeddingOp, EmbeddingArgs>();
}
template <>
std::span<const Kernel<EmbeddingBwdArgs>> cpu_kernels() {
  return simd_list_both<cpu::EmbeddingBwdOp, EmbeddingBwdArgs>();
}
template <>
std::span<const Kernel<RmsNormArgs>> cpu_kernels() {
  return simd_list_both<cpu::RmsNormOp, RmsNormArgs>();
}
template <>
std::span<const Kernel<RmsNormBwdArgs>> cpu_kernels() {
  return simd_list_both<cpu::RmsNormBwdOp, RmsNormBwdArgs>();
}
template <>
std::span<const Kernel<LayerNormArgs>> cpu_kernels() {
  return simd_list_both<cpu::LayerNormOp, LayerNormArgs>();
}
template <>
std::span<const Kernel<LayerNormBwdArgs>> cpu_kernels() {
  return simd_list_both<cpu::LayerNormBwdOp, LayerNormBwdArgs>();
}
template <>
std::span<const Kernel<AddArgs>> cpu_kernels() {
  return simd_list_both<cpu::AddOp, AddArgs>();
}
template <>
std::span<const Kernel<LogitCapArgs>> cpu_kernels() {
  return simd_list<cpu::LogitCapOp, LogitCapArgs>(ref::portable<float, LogitCapArgs>(kF32));
}
template <>
std::span<const Kernel<ScaleColumnsArgs>> cpu_kernels() {
  return simd_list_both<cpu::ScaleColumnsOp, ScaleColumnsArgs>();
}
template <>
std::span<const Kernel<DoraScaleArgs>> cpu_kernels() {
  return simd_list_both<cpu::DoraScaleOp, DoraScaleArgs>();
}
template <>
std::span<const Kernel<DropoutArgs>> cpu_kernels() {
  return simd_list_both<cpu::DropoutOp, DropoutArgs>();
}
template <>
std::span<const Kernel<NoiseArgs>> cpu_kernels() {
  return simd_list_both<cpu::NoiseOp, NoiseArgs>();
}
template <>
std::span<const Kernel<RopeArgs>> cpu_kernels() {
  return simd_list_both<cpu::RopeOp, RopeArgs>();
}
template <>
std::span<const Kernel<GatedActivationArgs>> cpu_kernels() {
  return simd_list_both<cpu::GatedActivationOp, GatedActivationArgs>();
}
template <>
std::span<const Kernel<GatedActivationBwdArgs>> cpu_kernels() {
  return simd_list_both<cpu::GatedActivationBwdOp, GatedActivationBwdArgs>();
}
template <>
std::span<const Kernel<CombineRowsArgs>> cpu_kernels() {
  return simd_list_both<cpu::CombineRowsOp, CombineRowsArgs>();
}
template <>
std::span<const Kernel<RowWeightBwdArgs>> cpu_kernels() {
  return simd_list_both<cpu::RowWeightBwdOp, RowWeightBwdArgs>();
}
template <>
std::span<const Kernel<CrossEntropyArgs>> cpu_kernels() {
  return simd_list<cpu::CrossEntropyOp, CrossEntropyArgs>(ref::portable<float, CrossEntropyArgs>(kF32));
}
template <>
std::span<const Kernel<SquareSumArgs>> cpu_kernels() {
  return simd_list<cpu::SquareSumOp, SquareSumArgs>(ref::portable<float, SquareSumArgs>(kF32));
}
template <>
std::span<const Kernel<CastArgs>> cpu_kernels() {
  return simd_list<cpu::CastOp, CastArgs>(ref::kCast);
}
template <>
std::span<const Kernel<AdamWArgs>> cpu_kernels() {
  return simd_list<cpu::AdamWOp, AdamWArgs>(cpu::portable_adamw());
}
template <>
std::span<const Kernel<AdamW8bitArgs>> cpu_kernels() {
  return simd_list<cpu::AdamW8bitOp, AdamW8bitArgs>(cpu::portable_adamw_8bit());
}
template <>
std::span<const Kernel<SgdArgs>> cpu_kernels() {
  return simd_list<cpu::SgdOp, SgdArgs>(cpu::portable_sgd());
}

}  // namespace lorikeet
