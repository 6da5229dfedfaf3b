#pragma once
// Small dense linear algebra in double, for the initial values of adapters. Sequential, so results do not
// depend on threads.
#include <cstddef>
#include <cstdint>
#include <functional>
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

/// a ~ u diag(s) v^T: u [m,r] and v [n,r] of orthonormal columns, s descending and not negative.
struct Svd {
  Matrix u, v;
  std::vector<double> s;
};

/// The decomposition of a small matrix [n,n] by one-sided Jacobi rotations (Golub and Van Loan, 8.6.3).
Svd jacobi_svd(Matrix a);

/// A matrix [rows,cols] that is known by its products only.
struct LinearOperator {
  int64_t rows, cols;
  std::function<Matrix(const Matrix& x)> times;             ///< [cols,k] -> [rows,k]
  std::function<Matrix(const Matrix& x)> transposed_times;  ///< [rows,k] -> [cols,k]
};

/// The r largest singular values and their vectors, r <= min(rows, cols), by Halko, Martinsson and Tropp's
/// randomized subspace iteration (2011, algorithms 4.4 and 5.1) from a start that `seed` draws. Exact up to
/// the rounding of the products where the smaller side is at most kExactSide.
Svd truncated_svd(const LinearOperator& a, int64_t r, uint64_t seed);
constexpr int64_t kExactSide = 128;

}  // namespace lorikeet
