#include "lora/decompose.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/philox.h"

namespace lorikeet {

namespace {

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// x -= 2 v (v . x) / (v . v), the reflection along v.
void reflect(const double* v, double v_squared, double* x, int64_t n) {
  if (v_squared == 0) return;
  const double factor = 2 * dot(v, x, n) / v_squared;
  for (int64_t i = 0; i < n; ++i) x[i] -= factor * v[i];
}

/// Turns the columns x and y so that they become orthogonal, and the columns p and q alongside. Returns the
/// cosine of the angle they had.
double rotate(double* x, double* y, int64_t n, double* p, double* q, int64_t m) {
  const double xx = dot(x, x, n), yy = dot(y, y, n), xy = dot(x, y, n);
  if (xy == 0) return 0;
  const double ratio = (yy - xx) / (2 * xy);
  const double t = (ratio >= 0 ? 1 : -1) / (std::abs(ratio) + std::sqrt(1 + ratio * ratio));
  const double c = 1 / std::sqrt(1 + t * t), s = c * t;
  const auto turn = [c, s](double* a, double* b, int64_t length) {
    for (int64_t i = 0; i < length; ++i) {
      const double u = a[i], v = b[i];
      a[i] = c * u - s * v;
      b[i] = s * u + c * v;
    }
  };
  turn(x, y, n);
  turn(p, q, m);
  return std::abs(xy) / std::sqrt(xx * yy);
}

/// The first n columns.
Matrix first_columns(const Matrix& a, int64_t n) {
  Matrix out(a.rows, n);
  std::copy_n(a.values.begin(), out.values.size(), out.values.begin());
  return out;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix out(a.rows, b.cols);
  for (int64_t j = 0; j < b.cols; ++j)
    for (int64_t k = 0; k < a.cols; ++k)
      for (int64_t i = 0; i < a.rows; ++i) out.at(i, j) += a.at(i, k) * b.at(k, j);
  return out;
}

}  // namespace

Qr qr(Matrix a) {
  LORIKEET_CHECK(a.rows >= a.cols);
  const int64_t m = a.rows, n = a.cols;
  Qr result{Matrix(m, n), Matrix(n, n)};
  std::vector<double> squares(static_cast<size_t>(n));
  for (int64_t k = 0; k < n; ++k) {
    double* v = a.column(k) + k;  // becomes the reflection's direction
    const int64_t length = m - k;
    const double norm = std::sqrt(dot(v, v, length)), diagonal = v[0] > 0 ? -norm : norm;
    v[0] -= diagonal;
    const double v_squared = squares[static_cast<size_t>(k)] = dot(v, v, length);
    for (int64_t j = k + 1; j < n; ++j) reflect(v, v_squared, a.column(j) + k, length);
    for (int64_t i = 0; i < k; ++i) result.r.at(i, k) = a.at(i, k);
    result.r.at(k, k) = diagonal;
  }
  for (int64_t j = 0; j < n; ++j) {
    double* q = result.q.column(j);
    q[j] = 1;
    for (int64_t k = n; k-- > 0;) reflect(a.column(k) + k, squares[static_cast<size_t>(k)], q + k, m - k);
  }
  return result;
}

Svd jacobi_svd(Matrix a) {
  LORIKEET_CHECK(a.rows == a.cols);
  constexpr int kMostSweeps = 60;  // about ten suffice
  constexpr double kOrthogonal = 1e-15;
  const int64_t n = a.cols;
  Matrix v(n, n);
  for (int64_t j = 0; j < n; ++j) v.at(j, j) = 1;
  double largest = 1;
  for (int sweep = 0; sweep < kMostSweeps && largest > kOrthogonal; ++sweep) {
    largest = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = i + 1; j < n; ++j)
        largest = std::max(largest, rotate(a.column(i), a.column(j), n, v.column(i), v.column(j), n));
  }
  std::vector<double> norms(static_cast<size_t>(n));
  for (int64_t j = 0; j < n; ++j) norms[static_cast<size_t>(j)] = std::sqrt(dot(a.column(j), a.column(j), n));
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
    return norms[static_cast<size_t>(i)] > norms[static_cast<size_t>(j)];
  });
  Svd result{Matrix(n, n), Matrix(n, n), {}};
  for (int64_t j = 0; j < n; ++j) {
    const int64_t from = order[static_cast<size_t>(j)];
    const double norm = norms[static_cast<size_t>(from)];
    result.s.push_back(norm);
    std::copy_n(v.column(from), n, result.v.column(j));
    for (int64_t i = 0; i < n; ++i) result.u.at(i, j) = norm > 0 ? a.at(i, from) / norm : 0;
  }
  return result;
}

Svd truncated_svd(const LinearOperator& a, int64_t r, uint64_t seed) {
  const int64_t side = std::min(a.rows, a.cols);
  LORIKEET_CHECK(r >= 1 && r <= side);
  constexpr int64_t kOversampling = 16;
  constexpr int kIterations = 4;
  const int64_t k = side <= kExactSide ? side : std::min(side, 2 * r + kOversampling);
  Matrix start(a.cols, k);
  const Philox random(seed, stable_hash("truncated_svd"));
  for (size_t i = 0; i < start.values.size(); ++i) start.values[i] = random.normal(i);
  Matrix q = qr(a.times(start)).q;
  for (int i = 0; i < kIterations; ++i) q = qr(a.times(qr(a.transposed_times(q)).q)).q;
  // a ~ q q^T a = q (a^T q)^T, and a^T q = z w with w = u1 s v1^T.
  const Qr z = qr(a.transposed_times(q));
  const Svd w = jacobi_svd(z.r);
  return {product(q, first_columns(w.v, r)), product(z.q, first_columns(w.u, r)),
          std::vector<double>(w.s.begin(), w.s.begin() + r)};
}

}  // namespace lorikeet
