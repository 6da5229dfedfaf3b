#include "backend/cuda/status.h"

#include "core/error.h"

namespace lorikeet::cuda {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  throw Error(status == cudaErrorMemoryAllocation ? ErrorKind::resource : ErrorKind::internal,
              fmt::format("CUDA: {}", cudaGetErrorString(status)), call);
}

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorKind::resource : ErrorKind::internal,
              fmt::format("cuBLASLt: status {}", static_cast<int>(status)), call);
}

}  // namespace lorikeet::cuda
