// The CPU's kernel lists: fastest first, the portable kernel last.
#include "backend/ref/kernels.h"

namespace lorikeet {

template <class Args>
std::span<const Kernel<Args>> cpu_kernels() {
  static constexpr Kernel<Args> list[] = {ref::portable<Bf16, Args>("portable bfloat16"),
                                          ref::portable<float, Args>("portable float32")};
  return list;
}
template <>
std::span<const Kernel<CrossEntropyArgs>> cpu_kernels() {
  static constexpr Kernel<CrossEntropyArgs> list[] = {ref::portable<float, CrossEntropyArgs>("portable float32")};
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
template std::span<const Kernel<LinearArgs>> cpu_kernels();
template std::span<const Kernel<LinearDxArgs>> cpu_kernels();
template std::span<const Kernel<TokenSumArgs>> cpu_kernels();
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
