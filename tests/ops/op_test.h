#pragma once
// Gradients of single ops by complex step: the same portable kernels in double (value and backward) and in
// complex<double> (exact derivative).
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "backend/ref/kernels.h"
#include "core/philox.h"

namespace lorikeet::testing {

/// A matrix of doubles that can be seen as double or as complex.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t cols, uint64_t seed, double scale = 1)
      : shape_{rows, cols}, real_(size(), 0.0), complex_(size()) {
    const Philox random(seed, 1);
    for (size_t i = 0; i < size(); ++i) real_[i] = scale * (2 * random.uniform_double(i) - 1);
  }
  static Matrix zero(int64_t rows, int64_t cols) { return Matrix(rows, cols, 0, 0); }
  size_t size() const { return static_cast<size_t>(shape_.count()); }
  double& operator[](size_t i) { return real_[i]; }
  TensorView real() { return TensorView(real_.data(), shape_, DType::f64); }
  /// The values as complex numbers, element `step` (if any) with a step along the imaginary axis.
  TensorView complex(int64_t step = -1) {
    for (size_t i = 0; i < size(); ++i) complex_[i] = real_[i];
    if (step >= 0) complex_[static_cast<size_t>(step)] += Complex(0, kStep);
    return TensorView(complex_.data(), shape_, DType::c128);
  }
  Complex complex_at(size_t i) const { return complex_[i]; }
  static constexpr double kStep = 1e-30;

 private:
  Shape shape_;
  std::vector<double> real_;
  std::vector<Complex> complex_;
};

/// Runs an op's kernel on the reference backend, with workspace.
template <class Args>
void run_reference(const Args& args) {
  static ThreadPool threads(2);
  Arena arena(size_t{1} << 22);
  dispatch(Stream{Device::reference, &threads, &arena}, args);
}

/// Compares gradient `dx` of sum(seed * y(x)) with the complex step: `forward(step)` must run the op in
/// complex with element `step` of x moved and return y.
inline void expect_gradient(Matrix& x, Matrix& dx, const std::function<Complex(int64_t step)>& loss) {
  double num = 0, den = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = loss(static_cast<int64_t>(i)).imag() / Matrix::kStep;
    num += (dx[i] - exact) * (dx[i] - exact);
    den += exact * exact;
  }
  ASSERT_GT(den, 0);
  EXPECT_LT(num / den, 1e-24);  // double rounding
}

/// sum(seed * y)
inline Complex weighted_sum(const Matrix& y, Matrix& seed) {
  Complex sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += seed[i] * y.complex_at(i);
  return sum;
}

}  // namespace lorikeet::testing
