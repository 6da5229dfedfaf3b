#pragma once
#include "backend/cuda/elements.cuh"

namespace lorikeet::cuda {

/// The weight or bias of a norm, or none, of any small float type: the branch is the same for every thread.
struct NormWeight {
  const void* data;
  DType type;
  float offset;

  explicit NormWeight(const TensorView& w, double offset = 0)
      : data(w.data), type(w.dtype), offset(static_cast<float>(offset)) {}
  __device__ explicit operator bool() const { return data != nullptr; }
  template <int n>
  __device__ Values<n> at(int64_t col) const {
    const Values<n> w = type == DType::f32    ? load<n>(static_cast<const float*>(data) + col)
                        : type == DType::bf16 ? load<n>(static_cast<const Bf16*>(data) + col)
                                              : load<n>(static_cast<const F16*>(data) + col);
    return each<n>([&](int i) { return w.e[i] + offset; });
  }
};

}  // namespace lorikeet::cuda
