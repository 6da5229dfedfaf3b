#pragma once
// The CUDA backend.
//
// Goals: the ops of backend/args.h on device memory, in bf16 (f32 for checks), through kernels that start
// their work on the default stream and return; the same bits in every run. Non-goals: a device memory
// allocator (every pointer in the arguments, tables of a Weight, token ids, positions and targets included,
// already lies in device memory; only the arguments themselves, spans of rows and the rows' ids lie in host
// memory); a 4-bit product: a quantized matrix is dequantized into workspace and multiplied by cuBLASLt.
#include "backend/args.h"
#include "backend/backend.h"

namespace lorikeet {

/// The kernels of an op, in every build; no Device leads dispatch here yet.
template <class Args>
std::span<const Kernel<Args>> cuda_kernels();

}  // namespace lorikeet

namespace lorikeet::cuda {

/// The ops that have kernels here.
template <class Args, class... Ops>
constexpr bool is_one_of = (std::is_same_v<Args, Ops> || ...);
template <class Args>
constexpr bool has_kernels =
    is_one_of<Args, AdamWArgs, AddArgs, AttentionArgs, AttentionBwdArgs, CastArgs, ColumnSumArgs,
              CrossEntropyArgs, DropoutArgs, EmbeddingArgs, EmbeddingBwdArgs, GatedActivationArgs,
              GatedActivationBwdArgs, GatherRowsArgs, LayerNormArgs, LayerNormBwdArgs, LinearArgs,
              LinearDxArgs, LogitCapArgs, NoiseArgs, RmsNormArgs, RmsNormBwdArgs, RopeArgs, ScaleColumnsArgs,
              ScatterRowsArgs, SgdArgs, SquareSumArgs, TokenSumArgs, ZeroArgs>;

/// Their lists: a specialization for each, in the file of its kernels; in no_cuda.cpp in a build without
/// CUDA.
template <class Args>
std::span<const Kernel<Args>> op_kernels();

/// A row that takes nothing, for `reason`.
template <class Args>
constexpr Kernel<Args> refusing(const char* (*reason)(const Args&)) {
  return {"cuda", reason, nullptr, [](const Args&, const KernelContext&) {}};
}

}  // namespace lorikeet::cuda
