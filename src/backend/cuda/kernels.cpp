// The CUDA backend's kernel lists, in every build. Until an op has a kernel, planning and running stop there
// with an error that names it.
#include "backend/cuda/kernels.h"

namespace lorikeet {

template <class Args>
std::span<const Kernel<Args>> cuda_kernels() {
  if constexpr (cuda::has_kernels<Args>) {
    return cuda::op_kernels<Args>();
  } else {
    static constexpr Kernel<Args> list[] = {
        cuda::refusing<Args>([](const Args&) { return "this op has no CUDA kernel"; })};
    return list;
  }
}

template std::span<const Kernel<EmbeddingArgs>> cuda_kernels();
template std::span<const Kernel<EmbeddingBwdArgs>> cuda_kernels();
template std::span<const Kernel<RmsNormArgs>> cuda_kernels();
template std::span<const Kernel<RmsNormBwdArgs>> cuda_kernels();
template std::span<const Kernel<LayerNormArgs>> cuda_kernels();
template std::span<const Kernel<LayerNormBwdArgs>> cuda_kernels();
template std::span<const Kernel<AddArgs>> cuda_kernels();
template std::span<const Kernel<LogitCapArgs>> cuda_kernels();
template std::span<const Kernel<TokenSumArgs>> cuda_kernels();
template std::span<const Kernel<ColumnSumArgs>> cuda_kernels();
template std::span<const Kernel<DropoutArgs>> cuda_kernels();
template std::span<const Kernel<NoiseArgs>> cuda_kernels();
template std::span<const Kernel<ScaleColumnsArgs>> cuda_kernels();
template std::span<const Kernel<DoraScaleArgs>> cuda_kernels();
template std::span<const Kernel<LinearArgs>> cuda_kernels();
template std::span<const Kernel<LinearDxArgs>> cuda_kernels();
template std::span<const Kernel<AttentionArgs>> cuda_kernels();
template std::span<const Kernel<AttentionBwdArgs>> cuda_kernels();
template std::span<const Kernel<RopeArgs>> cuda_kernels();
template std::span<const Kernel<GatedActivationArgs>> cuda_kernels();
template std::span<const Kernel<GatedActivationBwdArgs>> cuda_kernels();
template std::span<const Kernel<GatherRowsArgs>> cuda_kernels();
template std::span<const Kernel<ScatterRowsArgs>> cuda_kernels();
template std::span<const Kernel<RouteArgs>> cuda_kernels();
template std::span<const Kernel<RouteBwdArgs>> cuda_kernels();
template std::span<const Kernel<CombineRowsArgs>> cuda_kernels();
template std::span<const Kernel<RowWeightBwdArgs>> cuda_kernels();
template std::span<const Kernel<CrossEntropyArgs>> cuda_kernels();
template std::span<const Kernel<SquareSumArgs>> cuda_kernels();
template std::span<const Kernel<ZeroArgs>> cuda_kernels();
template std::span<const Kernel<CastArgs>> cuda_kernels();
template std::span<const Kernel<AdamWArgs>> cuda_kernels();
template std::span<const Kernel<AdamW8bitArgs>> cuda_kernels();
template std::span<const Kernel<SgdArgs>> cuda_kernels();

}  // namespace lorikeet
