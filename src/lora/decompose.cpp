#include "lora/decompose.h"

#include <cmath>

#include "core/error.h"

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

}  // namespace lorikeet
