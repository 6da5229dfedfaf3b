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

}  // namespace
}  // namespace lorikeet
