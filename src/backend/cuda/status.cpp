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

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char message[1024] = "";
  cudnnGetLastErrorString(message, sizeof message);
  throw Error(status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                      status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
                  ? ErrorKind::resource
                  : ErrorKind::internal,
              fmt::format("cuDNN: {}: {}", cudnnGetErrorString(status), message), call);
}

}  // namespace lorikeet::cuda
