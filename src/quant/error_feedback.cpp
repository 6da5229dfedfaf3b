#include "quant/error_feedback.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/buffer.h"
#include "core/error.h"
#include "quant/vector_width.h"

namespace lorikeet {
namespace {

constexpr double kDamping = 0.01;
/// Rows that are eliminated together.
constexpr int64_t kPanel = 64;
/// The tile of the update: rows and columns that stay in registers over a panel.
constexpr int64_t kTileRows = 4, kTileCols = 16;
using Doubles = double __attribute__((vector_size(64)));
constexpr int64_t kVectors = kTileCols * sizeof(double) / sizeof(Doubles);

/// The matrix that is factored; row k holds columns 0 to k, padded so that tiles may end behind the diagonal.
struct Lower {
  double* data;
  int64_t stride;
  double* row(int64_t k) const { return data + k * stride; }
};

/// The panel's rows [first, last) are done: takes them out of the rows [row0, row1) above.
struct Update {
  Lower a;
  const double* d;
  int64_t first, last, row0, row1;
};

/// a_ij -= sum over the panel's rows m of c_m u_jm for `Rows` rows i; c_m of row r is coefficients[m -
/// first][r].
template <int64_t Rows>
LORIKEET_INLINE void update_tile(const Update& u, int64_t i, int64_t j, const double* coefficients) {
  Doubles sum[Rows][kVectors] = {}, x[kVectors];
  for (int64_t m = u.first; m < u.last; ++m, coefficients += kTileRows) {
    std::memcpy(x, u.a.row(m) + j, sizeof x);
    for (int64_t r = 0; r < Rows; ++r)
      for (int64_t v = 0; v < kVectors; ++v) sum[r][v] += x[v] * coefficients[r];
  }
  for (int64_t r = 0; r < Rows; ++r) {
    std::memcpy(x, u.a.row(i + r) + j, sizeof x);
    for (int64_t v = 0; v < kVectors; ++v) x[v] -= sum[r][v];
    std::memcpy(u.a.row(i + r) + j, x, sizeof x);
  }
}

LORIKEET_INLINE void update_rows(const Update& u) {
  double coefficients[kPanel * kTileRows];
  for (int64_t i = u.row0; i < u.row1; i += kTileRows) {
    const int64_t rows = std::min(kTileRows, u.row1 - i);
    for (int64_t m = u.first; m < u.last; ++m)
      for (int64_t r = 0; r < rows; ++r)
        coefficients[(m - u.first) * kTileRows + r] = u.a.row(m)[i + r] * u.d[m];
    for (int64_t j = 0; j < i + rows; j += kTileCols) {
      if (rows == kTileRows)
        update_tile<kTileRows>(u, i, j, coefficients);
      else
        for (int64_t r = 0; r < rows; ++r) update_tile<1>(u, i + r, j, coefficients + r);
    }
  }
}

LORIKEET_WIDTHS(update_rows, Update)

/// Eliminates the rows [first, last) among themselves: row k becomes U_jk, and d_k.
void eliminate_panel(const Lower& a, std::vector<double>& d, int64_t first, int64_t last, double smallest) {
  for (int64_t k = last; k-- > first;) {
    double* row = a.row(k);
    for (int64_t m = k + 1; m < last; ++m) {
      const double* done = a.row(m);
      const double c = done[k] * d[static_cast<size_t>(m)];
      for (int64_t j = 0; j <= k; ++j) row[j] -= c * done[j];
    }
    // Without rounding none falls below the damping.
    const double dk = std::max(row[k], smallest);
    d[static_cast<size_t>(k)] = dk;
    for (int64_t j = 0; j < k; ++j) row[j] /= dk;
    row[k] = 1;
  }
}

}  // namespace

ErrorFeedback::ErrorFeedback(const TensorView& gram, ThreadPool& threads, int vector_bytes) : u_(gram) {
  LORIKEET_CHECK(gram.rows == gram.cols && vector_bytes <= widest_encoder());
  const int64_t n = gram.rows, stride = (n + kTileCols - 1) / kTileCols * kTileCols;
  double trace = 0;
  for (int64_t k = 0; k < n; ++k) trace += static_cast<double>(gram.row<float>(k)[k]);
  if (!std::isfinite(trace))
    throw Error(ErrorKind::format, "the inputs of a layer are not finite on the calibration rows", "",
                "check the model and the rows with `lorikeet eval`");
  const double damping = trace > 0 ? kDamping * trace / static_cast<double>(n) : 1;

  const Buffer memory(static_cast<size_t>(n * stride) * sizeof(double), "the factors of a layer's inputs");
  const Lower a{reinterpret_cast<double*>(memory.data()), stride};
  for (int64_t k = 0; k < n; ++k) {
    std::copy_n(gram.row<float>(k), k + 1, a.row(k));
    a.row(k)[k] += damping;
  }
  std::vector<double> d(static_cast<size_t>(n));
  for (int64_t last = n; last > 0;) {
    const int64_t first = std::max<int64_t>(0, last - kPanel);
    eliminate_panel(a, d, first, last, damping);
    threads.for_each((first + kPanel - 1) / kPanel, [&](int64_t item, int) {
      // The longest rows first.
      const int64_t row1 = first - item * kPanel;
      update_rows_at(vector_bytes, {a, d.data(), first, last, std::max<int64_t>(0, row1 - kPanel), row1});
    });
    last = first;
  }
  for (int64_t k = 0; k < n; ++k)
    std::transform(a.row(k), a.row(k) + k, u_.row<float>(k), [](double x) { return static_cast<float>(x); });
  d_.assign(d.begin(), d.end());
}

}  // namespace lorikeet
