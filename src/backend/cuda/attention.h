#pragma once
// The backward of attention with its sums in either order, for measuring what the fixed one costs; the kernel
// in the list takes the fixed one.
#include <cuda_runtime_api.h>

#include "backend/args.h"

namespace lorikeet::cuda {

/// How dq is summed over the keys: in one order, through memory for a bf16 number per query, key and head
/// (512 MiB of it at most, except where one row of one key head needs more), or by atomic additions in f32,
/// whose order and so whose last bits change from run to run.
enum class DqSum : uint8_t { ordered, atomic };

const char* reject_attention_bwd(const AttentionBwdArgs& a);
size_t attention_bwd_workspace(const AttentionBwdArgs& a, DqSum sum);
void attention_bwd(const AttentionBwdArgs& a, DqSum sum, void* workspace, cudaStream_t queue);

}  // namespace lorikeet::cuda
