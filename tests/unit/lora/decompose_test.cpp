#include "lora/decompose.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/philox.h"

namespace lorikeet {
namespace {

Matrix random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix m(rows, cols);
  const Philox random(seed, 1);
  for (size_t i = 0; i < m.values.size(); ++i) m.values[i] = random.normal(i);
  return m;
}

/// Largest element of |a^T a - 1|.
double distance_from_orthonormal(const Matrix& a) {
  double largest = 0;
  for (int64_t i = 0; i < a.cols; ++i)
    for (int64_t j = 0; j < a.cols; ++j) {
      double sum = i == j ? -1 : 0;
      for (int64_t k = 0; k < a.rows; ++k) sum += a.at(k, i) * a.at(k, j);
      largest = std::max(largest, std::abs(sum));
    }
  return largest;
}

/// Largest element of |a b - c|.
double distance(const Matrix& a, const Matrix& b, const Matrix& c) {
  double largest = 0;
  for (int64_t i = 0; i < c.rows; ++i)
    for (int64_t j = 0; j < c.cols; ++j) {
      double sum = -c.at(i, j);
      for (int64_t k = 0; k < a.cols; ++k) sum += a.at(i, k) * b.at(k, j);
      largest = std::max(largest, std::abs(sum));
    }
  return largest;
}

constexpr double kRounding = 1e-13;  // sums of at most 100 products of size 1 in double

TEST(QrDecomposition, IsOrthonormalTimesUpperTriangular) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {7, 7}, {50, 13}, {100, 1}}) {
    const Matrix a = random_matrix(rows, cols, 3);
    const Qr f = qr(a);
    EXPECT_LT(distance_from_orthonormal(f.q), kRounding) << rows << "x" << cols;
    EXPECT_LT(distance(f.q, f.r, a), kRounding) << rows << "x" << cols;
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t i = j + 1; i < cols; ++i) EXPECT_EQ(f.r.at(i, j), 0);
  }
}

TEST(QrDecomposition, IsOrthonormalAlsoWithoutFullRank) {
  Matrix a = random_matrix(20, 6, 4);
  for (int64_t i = 0; i < 20; ++i) {
    a.at(i, 2) = 2 * a.at(i, 0);
    a.at(i, 4) = 0;
  }
  const Qr f = qr(a);
  EXPECT_LT(distance_from_orthonormal(f.q), kRounding);
  EXPECT_LT(distance(f.q, f.r, a), kRounding);
}

Matrix product_of(const Matrix& a, const Matrix& b, bool transpose_a = false) {
  const int64_t rows = transpose_a ? a.cols : a.rows, inner = transpose_a ? a.rows : a.cols;
  Matrix out(rows, b.cols);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < b.cols; ++j)
      for (int64_t k = 0; k < inner; ++k)
        out.at(i, j) += (transpose_a ? a.at(k, i) : a.at(i, k)) * b.at(k, j);
  return out;
}

LinearOperator operator_of(const Matrix& a) {
  return {a.rows, a.cols, [&a](const Matrix& x) { return product_of(a, x); },
          [&a](const Matrix& x) { return product_of(a, x, true); }};
}

/// u diag(s) v^T.
Matrix product_of(const Svd& f) {
  Matrix out(f.u.rows, f.v.rows);
  for (int64_t i = 0; i < out.rows; ++i)
    for (int64_t j = 0; j < out.cols; ++j)
      for (size_t k = 0; k < f.s.size(); ++k)
        out.at(i, j) += f.u.at(i, static_cast<int64_t>(k)) * f.s[k] * f.v.at(j, static_cast<int64_t>(k));
  return out;
}

double largest_difference(const Matrix& a, const Matrix& b) {
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); ++i)
    largest = std::max(largest, std::abs(a.values[i] - b.values[i]));
  return largest;
}

TEST(JacobiSvd, ReconstructsWithOrthonormalVectorsAndDescendingValues) {
  for (const int64_t n : {1, 2, 9, 40}) {
    const Matrix a = random_matrix(n, n, 6);
    const Svd f = jacobi_svd(a);
    EXPECT_LT(distance_from_orthonormal(f.u), kRounding) << n;
    EXPECT_LT(distance_from_orthonormal(f.v), kRounding) << n;
    EXPECT_LT(largest_difference(product_of(f), a), 10 * kRounding) << n;  // singular values up to 13
    for (size_t i = 1; i < f.s.size(); ++i) EXPECT_LE(f.s[i], f.s[i - 1]);
  }
}

TEST(JacobiSvd, HandlesARankOfOne) {
  Matrix a(5, 5);
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 5; ++j) a.at(i, j) = static_cast<double>((i + 1) * (j + 2));
  const Svd f = jacobi_svd(a);
  EXPECT_LT(largest_difference(product_of(f), a), 1e-12);  // values up to 70
  EXPECT_LT(f.s[1], 1e-12);
}

TEST(TruncatedSvd, IsExactWhereOneSideIsSmall) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{30, 12}, {12, 30}}) {
    const Matrix a = random_matrix(rows, cols, 7);
    const Svd all = truncated_svd(operator_of(a), 12, 1);
    EXPECT_LT(largest_difference(product_of(all), a), 10 * kRounding) << rows;
    EXPECT_LT(distance_from_orthonormal(all.u), kRounding);
    EXPECT_LT(distance_from_orthonormal(all.v), kRounding);
    // Two starts, one subspace: the product of the first vectors does not depend on the seed.
    const Svd few = truncated_svd(operator_of(a), 3, 1), again = truncated_svd(operator_of(a), 3, 2);
    EXPECT_LT(largest_difference(product_of(few), product_of(again)), 1e-12);
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(few.s[i], all.s[i], 1e-12);
  }
}

TEST(TruncatedSvd, FindsTheLargestValuesOfALargerMatrix) {
  // Orthogonal factors and values 1, 1/2, 1/3, ...: a slow decay, as that of trained weights.
  constexpr int64_t kSide = 150;
  static_assert(kSide > kExactSide);
  const Matrix u = qr(random_matrix(200, kSide, 8)).q, v = qr(random_matrix(kSide, kSide, 9)).q;
  Svd exact{u, v, {}};
  for (int64_t i = 0; i < kSide; ++i) exact.s.push_back(1 / static_cast<double>(i + 1));
  const Matrix a = product_of(exact);
  const Svd found = truncated_svd(operator_of(a), 8, 3);
  // The error falls with (value 25 / value 8) to the power 2 * 4 + 1, times the size of what is left.
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(found.s[i], exact.s[i], 1e-5) << i;
  EXPECT_LT(distance_from_orthonormal(found.u), kRounding);
}

}  // namespace
}  // namespace lorikeet
