// The CPU's kernel lists: fastest first, the portable kernel last.
#include "backend/ref/kernels.h"

#include "backend/cpu/linear.h"

namespace lorikeet {

namespace {

/// The list of an op that computes in bf16 and f32 and has kernels for every instruction set.
template <class Op, class Args>
std::span<const Kernel<Args>> simd_list() {
  static constexpr Kernel<Args> list[] = {
      cpu::simd_row<Op, Args, Isa::avx512bf16>(), cpu::simd_row<Op, Args, Isa::avx512>(),
      cpu::simd_row<Op, Args, Isa::avx2>(), ref::portable<Bf16, Args>("portable bfloat16"),
      ref::portable<float, Args>("portable float32")};
  return list;
}

}  // namespace

template <>
std::span<const Kernel<LinearArgs>> cpu_kernels() {
  return simd_list<cpu::LinearOp, LinearArgs>();
}
template <>
std::span<const Kernel<LinearDxArgs>> cpu_kernels() {
  return simd_list<cpu::LinearDxOp, LinearDxArgs>();
}
template <>
std::span<const Kernel<TokenSumArgs>> cpu_kernels() {
  return simd_list<cpu::TokenSumOp, TokenSumArgs>();
}

template <class Args>
std::span<const Kernel<Args>> cpu_kernels() {
  static constexpr Kernel<Args> list[] = {ref::portable<Bf16, Args>("portable bfloat16"),
                                          ref::portable<float, Args>("portable float32")};
  return list;
}
template <>
std::span<const Kernel<CrossEntropyArgs>> cpu_kernels() {
  static constexpr Kernel<CrossEntropyArgs> list[] = {
      ref::portable<float, CrossEntropyArgs>("portable float32")};
  return list;
}
template <>
std::span<const Kernel<SquareSumArgs>> cpu_kernels() {
  static constexpr Kernel<SquareSumArgs> list[] = {ref::portable<float, SquareSumArgs>("portable float32")};
  return list;
}
template <>
std::span<const Kernel<ZeroArgs>> cpu_kernels() {
  return {&ref::kZero, 1};
}
template <>
std::span<const Kernel<CastArgs>> cpu_kernels() {
  return {&ref::kCast, 1};
}
template <>
std::span<const Kernel<AdamWArgs>> cpu_kernels() {
  return {&ref::kAdamW, 1};
}

template std::span<const Kernel<EmbeddingArgs>> cpu_kernels();
template std::span<const Kernel<EmbeddingBwdArgs>> cpu_kernels();
template std::span<const Kernel<RmsNormArgs>> cpu_kernels();
template std::span<const Kernel<RmsNormBwdArgs>> cpu_kernels();
template std::span<const Kernel<ColumnSumArgs>> cpu_kernels();
template std::span<const Kernel<DropoutArgs>> cpu_kernels();
template std::span<const Kernel<RopeArgs>> cpu_kernels();
template std::span<const Kernel<AttentionArgs>> cpu_kernels();
template std::span<const Kernel<AttentionBwdArgs>> cpu_kernels();
template std::span<const Kernel<GatedActivationArgs>> cpu_kernels();
template std::span<const Kernel<GatedActivationBwdArgs>> cpu_kernels();
template std::span<const Kernel<GatherRowsArgs>> cpu_kernels();
template std::span<const Kernel<ScatterRowsArgs>> cpu_kernels();

}  // namespace lorikeet
