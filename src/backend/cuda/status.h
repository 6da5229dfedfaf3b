#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn_graph.h>

namespace lorikeet::cuda {

/// Throws unless the call succeeded: Error(resource) where the device has no memory left, Error(internal)
/// else. `call` names it.
void check(cudaError_t status, const char* call);
void check(cublasStatus_t status, const char* call);
void check(cudnnStatus_t status, const char* call);

}  // namespace lorikeet::cuda
