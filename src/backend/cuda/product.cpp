#include "backend/cuda/product.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>

#include "backend/cuda/status.h"

namespace lorikeet::cuda {

namespace {

template <class T, cublasStatus_t (*kDestroy)(T)>
struct Destroy {
  using pointer = T;
  void operator()(T handle) const { kDestroy(handle); }
};
using Handle = std::unique_ptr<void, Destroy<cublasLtHandle_t, cublasLtDestroy>>;
using Operation = std::unique_ptr<void, Destroy<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<void, Destroy<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<void, Destroy<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>>;

/// Everything that the choice of an algorithm depends on.
using Key = std::array<int64_t, 17>;

struct Plan {
  Operation operation;
  Layout right, left, add, out;
  cublasLtMatmulAlgo_t algorithm;
};

cudaDataType_t type_of(const TensorView& v) { return v.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// Of every row's first element, up to 256 bytes.
uint32_t alignment_of(const TensorView& v) {
  const auto bits =
      reinterpret_cast<uintptr_t>(v.data) | static_cast<uintptr_t>(v.stride) * size_of(v.dtype) | 256u;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

/// A view without `add` reads nothing, but the library wants its layout: that of out.
const TensorView& add_or_out(const Product& p) { return p.add ? p.add : p.out; }

Key key_of(const Product& p) {
  const TensorView& add = add_or_out(p);
  return {p.out.rows,
          p.out.cols,
          p.inner(),
          p.left_transposed,
          p.right_transposed,
          static_cast<int64_t>(p.left.dtype),
          static_cast<int64_t>(p.out.dtype),
          p.out.stride,
          p.left.stride,
          p.right.stride,
          add.stride,
          alignment_of(p.out),
          alignment_of(p.left),
          alignment_of(p.right),
          alignment_of(add),
          static_cast<bool>(p.add),
          static_cast<bool>(p.bias)};
}

/// cuBLASLt's matrices lie column after column, so each of ours is the transpose of one of its own, and the
/// product is taken as out^T = op(right)^T op(left)^T.
Layout layout_of(const TensorView& v) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type_of(v), static_cast<uint64_t>(v.cols),
                                   static_cast<uint64_t>(v.rows), v.stride),
        "cublasLtMatrixLayoutCreate");
  return Layout(layout);
}

template <class T>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t what, const T& value) {
  check(cublasLtMatmulDescSetAttribute(operation.get(), what, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t what, const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), what, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

Preference preference_for(const Product& p) {
  cublasLtMatmulPreference_t handle = nullptr;
  check(cublasLtMatmulPreferenceCreate(&handle), "cublasLtMatmulPreferenceCreate");
  Preference preference(handle);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kProductWorkspace - 256});
  // Parts of a split sum meet in f32, in order; the other schemes round them to bf16.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.right));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.left));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(add_or_out(p)));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.out));
  return preference;
}

/// The library's handle and the plans of all shapes met so far, on the device that was current at first use.
class Plans {
 public:
  Plans() {
    cublasLtHandle_t handle = nullptr;
    check(cublasLtCreate(&handle), "cublasLtCreate");
    handle_.reset(handle);
  }

  void run(const Product& p, void* workspace, cudaStream_t queue) {
    const std::lock_guard lock(mutex_);  // a plan's operation holds the pointer of the bias
    const auto [at, added] = plans_.try_emplace(key_of(p));
    Plan& plan = at->second;
    if (added) {
      try {
        make(p, plan);
      } catch (...) {
        plans_.erase(at);
        throw;
      }
    }
    if (p.bias) set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias.data);
    const float beta = p.add ? 1 : 0;
    // The library wants its workspace on 256 bytes; the arena gives 64.
    const auto aligned = (reinterpret_cast<uintptr_t>(workspace) + 255) / 256 * 256;
    check(cublasLtMatmul(handle_.get(), plan.operation.get(), &p.scale, p.right.data, plan.right.get(),
                         p.left.data, plan.left.get(), &beta, add_or_out(p).data, plan.add.get(), p.out.data,
                         plan.out.get(), &plan.algorithm, reinterpret_cast<void*>(aligned),
                         kProductWorkspace - 256, queue),
          "cublasLtMatmul");
  }

 private:
  void make(const Product& p, Plan& plan) {
    cublasLtMatmulDesc_t operation = nullptr;
    check(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    plan.operation.reset(operation);
    if (p.right_transposed) set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (p.left_transposed) set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T);
    if (p.bias) set(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    plan.right = layout_of(p.right);
    plan.left = layout_of(p.left);
    plan.add = layout_of(add_or_out(p));
    plan.out = layout_of(p.out);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle_.get(), plan.operation.get(), plan.right.get(),
                                         plan.left.get(), plan.add.get(), plan.out.get(),
                                         preference_for(p).get(), 1, &found, &count),
          "cublasLtMatmulAlgoGetHeuristic");
    LORIKEET_CHECK(count == 1);
    plan.algorithm = found.algo;
  }

  Handle handle_;
  std::mutex mutex_;
  std::map<Key, Plan> plans_;
};

Plans& plans() {
  static Plans all;
  return all;
}

}  // namespace

void multiply(const Product& p, void* workspace, cudaStream_t queue) {
  LORIKEET_CHECK(p.out.rows == (p.left_transposed ? p.left.cols : p.left.rows));
  LORIKEET_CHECK(p.right.rows == (p.right_transposed ? p.out.cols : p.inner()));
  LORIKEET_CHECK(p.right.cols == (p.right_transposed ? p.inner() : p.out.cols));
  if (p.out.rows > 0) plans().run(p, workspace, queue);
}

}  // namespace lorikeet::cuda
