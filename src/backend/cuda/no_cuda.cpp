// What stands in for the CUDA kernels in a build without LORIKEET_CUDA.
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

template <class Args>
std::span<const Kernel<Args>> op_kernels() {
  static constexpr Kernel<Args> list[] = {
      refusing<Args>([](const Args&) { return "this build has no CUDA (LORIKEET_CUDA)"; })};
  return list;
}

template std::span<const Kernel<AdamWArgs>> op_kernels();
template std::span<const Kernel<AddArgs>> op_kernels();
template std::span<const Kernel<AttentionArgs>> op_kernels();
template std::span<const Kernel<AttentionBwdArgs>> op_kernels();
template std::span<const Kernel<CastArgs>> op_kernels();
template std::span<const Kernel<ColumnSumArgs>> op_kernels();
template std::span<const Kernel<CrossEntropyArgs>> op_kernels();
template std::span<const Kernel<DropoutArgs>> op_kernels();
template std::span<const Kernel<EmbeddingArgs>> op_kernels();
template std::span<const Kernel<EmbeddingBwdArgs>> op_kernels();
template std::span<const Kernel<GatedActivationArgs>> op_kernels();
template std::span<const Kernel<GatedActivationBwdArgs>> op_kernels();
template std::span<const Kernel<GatherRowsArgs>> op_kernels();
template std::span<const Kernel<LayerNormArgs>> op_kernels();
template std::span<const Kernel<LayerNormBwdArgs>> op_kernels();
template std::span<const Kernel<LinearArgs>> op_kernels();
template std::span<const Kernel<LinearDxArgs>> op_kernels();
template std::span<const Kernel<LogitCapArgs>> op_kernels();
template std::span<const Kernel<NoiseArgs>> op_kernels();
template std::span<const Kernel<RmsNormArgs>> op_kernels();
template std::span<const Kernel<RmsNormBwdArgs>> op_kernels();
template std::span<const Kernel<RopeArgs>> op_kernels();
template std::span<const Kernel<ScaleColumnsArgs>> op_kernels();
template std::span<const Kernel<ScatterRowsArgs>> op_kernels();
template std::span<const Kernel<SgdArgs>> op_kernels();
template std::span<const Kernel<SquareSumArgs>> op_kernels();
template std::span<const Kernel<TokenSumArgs>> op_kernels();
template std::span<const Kernel<ZeroArgs>> op_kernels();

}  // namespace lorikeet::cuda
