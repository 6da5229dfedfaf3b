#pragma once
// Rows of kernel lists made from the portable kernels.
#include "backend/ref/attention.h"
#include "backend/ref/elementwise.h"
#include "backend/ref/experts.h"
#include "backend/ref/linear.h"
#include "backend/ref/loss.h"

namespace lorikeet::ref {

inline DType compute_type(const EmbeddingArgs& a) { return a.y.dtype; }
inline DType compute_type(const EmbeddingBwdArgs& a) { return a.dy.dtype; }
inline DType compute_type(const RmsNormArgs& a) { return a.x.dtype; }
inline DType compute_type(const RmsNormBwdArgs& a) { return a.x.dtype; }
inline DType compute_type(const LayerNormArgs& a) { return a.x.dtype; }
inline DType compute_type(const LayerNormBwdArgs& a) { return a.x.dtype; }
inline DType compute_type(const AddArgs& a) { return a.y.dtype; }
inline DType compute_type(const LogitCapArgs& a) { return a.y.dtype; }
inline DType compute_type(const LinearArgs& a) { return a.x.dtype; }
inline DType compute_type(const LinearDxArgs& a) { return a.dx.dtype; }
inline DType compute_type(const TokenSumArgs& a) { return a.x.dtype; }
inline DType compute_type(const ColumnSumArgs& a) { return a.dy.dtype; }
inline DType compute_type(const ScaleColumnsArgs& a) { return a.x.dtype; }
inline DType compute_type(const DoraScaleArgs& a) { return a.lora_a.dtype; }
inline DType compute_type(const DropoutArgs& a) { return a.x.dtype; }
inline DType compute_type(const NoiseArgs& a) { return a.y.dtype; }
inline DType compute_type(const RopeArgs& a) { return a.x.dtype; }
inline DType compute_type(const AttentionArgs& a) { return a.q.dtype; }
inline DType compute_type(const AttentionBwdArgs& a) { return a.q.dtype; }
inline DType compute_type(const GatedActivationArgs& a) { return a.gate.dtype; }
inline DType compute_type(const GatedActivationBwdArgs& a) { return a.gate.dtype; }
inline DType compute_type(const GatherRowsArgs& a) { return a.x.dtype; }
inline DType compute_type(const ScatterRowsArgs& a) { return a.x.dtype; }
inline DType compute_type(const RouteArgs& a) { return a.logits.dtype; }
inline DType compute_type(const RouteBwdArgs& a) { return a.dlogits.dtype; }
inline DType compute_type(const CombineRowsArgs& a) { return a.x.dtype; }
inline DType compute_type(const RowWeightBwdArgs& a) { return a.x.dtype; }
inline DType compute_type(const CrossEntropyArgs& a) { return a.logits.dtype; }
inline DType compute_type(const SquareSumArgs& a) { return a.g.dtype; }

/// The portable kernel of an op for element type T, as a row of a kernel list.
template <class T, class Args>
constexpr Kernel<Args> portable(const char* name) {
  Kernel<Args> k{};
  k.name = name;
  k.reject = [](const Args& a) { return reject_other_types<T>(compute_type(a)); };
  if constexpr (requires(const Args& a) { workspace_bytes(a, 1); })
    k.workspace_bytes = [](const Args& a, int threads) { return workspace_bytes(a, threads); };
  if constexpr (std::is_same_v<Args, CrossEntropyArgs>)
    k.run = run_cross_entropy<T>;
  else
    k.run = [](const Args& a, const KernelContext& c) { run<T>(a, c); };
  return k;
}

constexpr Kernel<ZeroArgs> kZero{"portable", nullptr, nullptr, run_zero};
constexpr Kernel<CastArgs> kCast{"portable", nullptr, nullptr, run_cast};

}  // namespace lorikeet::ref
