// The smallest backend that compiles: every op, and no kernel that accepts it. To start a new backend, copy
// this folder, give it a value of Device and a line in kernels_of, and replace `refusing` op by op. Until an
// op has a kernel, planning and running stop there with an error that names it.
#include "backend/args.h"
#include "backend/backend.h"

namespace lorikeet {

namespace {

template <class Args>
constexpr Kernel<Args> refusing() {
  return {"stub", [](const Args&) { return "not written"; }, nullptr,
          [](const Args&, const KernelContext&) {}};
}

}  // namespace

template <class Args>
std::span<const Kernel<Args>> stub_kernels() {
  static constexpr Kernel<Args> list[] = {refusing<Args>()};
  return list;
}

template std::span<const Kernel<EmbeddingArgs>> stub_kernels();
template std::span<const Kernel<EmbeddingBwdArgs>> stub_kernels();
template std::span<const Kernel<RmsNormArgs>> stub_kernels();
template std::span<const Kernel<RmsNormBwdArgs>> stub_kernels();
template std::span<const Kernel<LayerNormArgs>> stub_kernels();
template std::span<const Kernel<LayerNormBwdArgs>> stub_kernels();
template std::span<const Kernel<AddArgs>> stub_kernels();
template std::span<const Kernel<LogitCapArgs>> stub_kernels();
template std::span<const Kernel<LinearArgs>> stub_kernels();
template std::span<const Kernel<LinearDxArgs>> stub_kernels();
template std::span<const Kernel<TokenSumArgs>> stub_kernels();
template std::span<const Kernel<ColumnSumArgs>> stub_kernels();
template std::span<const Kernel<DropoutArgs>> stub_kernels();
template std::span<const Kernel<NoiseArgs>> stub_kernels();
template std::span<const Kernel<ScaleColumnsArgs>> stub_kernels();
template std::span<const Kernel<DoraScaleArgs>> stub_kernels();
template std::span<const Kernel<RopeArgs>> stub_kernels();
template std::span<const Kernel<AttentionArgs>> stub_kernels();
template std::span<const Kernel<AttentionBwdArgs>> stub_kernels();
template std::span<const Kernel<GatedActivationArgs>> stub_kernels();
template std::span<const Kernel<GatedActivationBwdArgs>> stub_kernels();
template std::span<const Kernel<GatherRowsArgs>> stub_kernels();
template std::span<const Kernel<ScatterRowsArgs>> stub_kernels();
template std::span<const Kernel<RouteArgs>> stub_kernels();
template std::span<const Kernel<RouteBwdArgs>> stub_kernels();
template std::span<const Kernel<CombineRowsArgs>> stub_kernels();
template std::span<const Kernel<RowWeightBwdArgs>> stub_kernels();
template std::span<const Kernel<CrossEntropyArgs>> stub_kernels();
template std::span<const Kernel<SquareSumArgs>> stub_kernels();
template std::span<const Kernel<ZeroArgs>> stub_kernels();
template std::span<const Kernel<CastArgs>> stub_kernels();
template std::span<const Kernel<AdamWArgs>> stub_kernels();
template std::span<const Kernel<AdamW8bitArgs>> stub_kernels();
template std::span<const Kernel<SgdArgs>> stub_kernels();

}  // namespace lorikeet
