#pragma once
// How the error of a quantized column can be made up for in the columns behind it, given what the matrix
// multiplies.
#include <vector>

#include "core/tensor.h"
#include "core/thread_pool.h"
#include "quant/bnb4_encode.h"

namespace lorikeet {

/// The factors of G + damping = U D U^T, with G = X^T X [K,K] of the inputs X of a linear layer, U upper
/// triangular with a diagonal of ones and D diagonal. An error E [out,K] in the layer's weights changes its
/// outputs on X by
///
///   |X E^T|^2 = sum over rows e of E and over k of D_k (e_k + c_k)^2,   c_k = sum over j < k of U_jk e_j
///
/// so whoever rounds column after column makes it small by rounding w_k + c_k in place of w_k.
///
/// Source: Frantar and others, GPTQ (2023), whose step this is; Chee and others, QuIP (2023), theorem 6, for
/// this form of it. The damping is GPTQ's: a hundredth of the mean of G's diagonal, added to it.
class ErrorFeedback {
 public:
  /// Reads the lower triangle of `gram` [K,K] f32, any stride, and keeps U^T there: `gram` must outlive this
  /// and is lost. Takes 8 K^2 bytes meanwhile. The result depends neither on the number of threads nor on
  /// `vector_bytes`, see encode_bnb4. Throws Error(format) if the diagonal is not finite.
  ErrorFeedback(const TensorView& gram, ThreadPool& threads, int vector_bytes = widest_encoder());

  int64_t size() const { return u_.rows; }
  /// U_jk for j < k.
  const float* weights(int64_t k) const { return u_.row<float>(k); }
  float d(int64_t k) const { return d_[static_cast<size_t>(k)]; }

 private:
  TensorView u_;
  std::vector<float> d_;
};

}  // namespace lorikeet
