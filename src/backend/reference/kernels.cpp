// The reference backend: every op in double and complex<double>, for gradients by complex step and as an
// oracle.
#include "backend/ref/kernels.h"

namespace lorikeet {

template <class Args>
std::span<const Kernel<Args>> reference_kernels() {
  static constexpr Kernel<Args> list[] = {ref::portable<double, Args>("float64"),
                                          ref::portable<Complex, Args>("complex128")};
  return list;
}
template <>
std::span<const Kernel<ZeroArgs>> reference_kernels() {
  return {&ref::kZero, 1};
}
template <>
std::span<const Kernel<CastArgs>> reference_kernels() {
  return {&ref::kCast, 1};
}
// Training in double is a test of gradients only.
template <>
std::span<const Kernel<AdamWArgs>> reference_kernels() {
  return {};
}
template <>
std::span<const Kernel<AdamW8bitArgs>> reference_kernels() {
  return {};
}
template <>
std::span<const Kernel<SgdArgs>> reference_kernels() {
  return {};
}

template std::span<const Kernel<EmbeddingArgs>> reference_kernels();
template std::span<const Kernel<EmbeddingBwdArgs>> reference_kernels();
template std::span<const Kernel<RmsNormArgs>> reference_kernels();
template std::span<const Kernel<RmsNormBwdArgs>> reference_kernels();
template std::span<const Kernel<LayerNormArgs>> reference_kernels();
template std::span<const Kernel<LayerNormBwdArgs>> reference_kernels();
template std::span<const Kernel<AddArgs>> reference_kernels();
template std::span<const Kernel<LogitCapArgs>> reference_kernels();
template std::span<const Kernel<LinearArgs>> reference_kernels();
template std::span<const Kernel<LinearDxArgs>> reference_kernels();
template std::span<const Kernel<TokenSumArgs>> reference_kernels();
template std::span<const Kernel<ColumnSumArgs>> reference_kernels();
template std::span<const Kernel<ScaleColumnsArgs>> reference_kernels();
template std::span<const Kernel<DoraScaleArgs>> reference_kernels();
template std::span<const Kernel<DropoutArgs>> reference_kernels();
template std::span<const Kernel<NoiseArgs>> reference_kernels();
template std::span<const Kernel<RopeArgs>> reference_kernels();
template std::span<const Kernel<AttentionArgs>> reference_kernels();
template std::span<const Kernel<AttentionBwdArgs>> reference_kernels();
template std::span<const Kernel<GatedActivationArgs>> reference_kernels();
template std::span<const Kernel<GatedActivationBwdArgs>> reference_kernels();
template std::span<const Kernel<GatherRowsArgs>> reference_kernels();
template std::span<const Kernel<ScatterRowsArgs>> reference_kernels();
template std::span<const Kernel<RouteArgs>> reference_kernels();
template std::span<const Kernel<RouteBwdArgs>> reference_kernels();
template std::span<const Kernel<CombineRowsArgs>> reference_kernels();
template std::span<const Kernel<RowWeightBwdArgs>> reference_kernels();
template std::span<const Kernel<CrossEntropyArgs>> reference_kernels();
template std::span<const Kernel<SquareSumArgs>> reference_kernels();

}  // namespace lorikeet
