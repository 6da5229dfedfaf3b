#pragma once
// Small dense linear algebra in double, for the initial values of adapters. Sequential, so results do not
// depend on threads.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lorikeet {

/// A matrix of doubles, column after column.
struct Matrix {
  Matrix(int64_t rows_, int64_t cols_)
      : rows(rows_), cols(cols_), values(static_cast<size_t>(rows_ * cols_), 0.0) {}
  double* column(int64_t k) { return values.data() + k * rows; }
  const double* column(int64_t k) const { return values.data() + k * rows; }
  double& at(int64_t i, int64_t k) { return column(k)[i]; }
  double at(int64_t i, int64_t k) const { return column(k)[i]; }

  int64_t rows, cols;
  std::vector<double> values;
};

/// a = q r with q [m,n] of orthonormal columns and r [n,n] upper triangular.
struct Qr {
  Matrix q, r;
};

/// Householder's QR of a [m,n] with m >= n (Golub and Van Loan, Matrix Computations, 5.2). q is orthonormal
/// also where a has not full rank.
Qr qr(Matrix a);

}  // namespace lorikeet
