// What stands in for the CUDA kernels in a build without LORIKEET_CUDA.
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

template <class Args>
std::span<const Kernel<Args>> absent() {
  static constexpr Kernel<Args> list[] = {
      refusing<Args>([](const Args&) { return "this build has no CUDA (LORIKEET_CUDA)"; })};
  return list;
}

}  // namespace

std::span<const Kernel<LinearArgs>> linear_kernels() { return absent<LinearArgs>(); }
std::span<const Kernel<LinearDxArgs>> linear_dx_kernels() { return absent<LinearDxArgs>(); }
std::span<const Kernel<AttentionArgs>> attention_kernels() { return absent<AttentionArgs>(); }
std::span<const Kernel<AttentionBwdArgs>> attention_bwd_kernels() { return absent<AttentionBwdArgs>(); }

}  // namespace lorikeet::cuda
