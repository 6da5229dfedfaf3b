#include "quant/bnb4_feedback.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "core/error.h"
#include "quant/vector_width.h"

namespace lorikeet {
namespace {

/// Rows that are quantized together, one in each lane of a vector.
constexpr int64_t kRows = 16;
/// One column of them.
using Column = float __attribute__((vector_size(kRows * sizeof(float))));
/// Columns whose sums stay in registers.
constexpr int64_t kTile = 8;
/// The scales that are tried: the largest magnitude less 0 to 16 fortieths of it.
constexpr int kShares = 17;
constexpr float kShareStep = 0.025f;

/// The scratch of one thread.
struct Scratch {
  Column *weights, *errors;  ///< [K]
  Column *carried, *shifts;  ///< [blocksize]
};

/// `kRows` rows of a matrix.
struct Panel {
  const Bnb4Options& options;
  const ErrorFeedback& feedback;
  const Scratch& scratch;
  int64_t first_row, rows;
  uint8_t* codes;  ///< of the whole matrix, or null: only the error counts, of the nearest codes
  float* absmax;
  double* square;
};

/// carried[k] = sum over j < first of U_jk e_j for the columns k of the block from `first`.
LORIKEET_INLINE void carry(const ErrorFeedback& f, const Scratch& s, int64_t first, int64_t n) {
  for (int64_t k = 0; k < n; k += kTile) {
    const float* u[kTile];
    for (int64_t t = 0; t < kTile; ++t) u[t] = f.weights(first + k + t);
    Column sum[kTile] = {};
    for (int64_t j = 0; j < first; ++j) {
      const Column e = s.errors[j];
      for (int64_t t = 0; t < kTile; ++t) sum[t] += e * u[t][j];
    }
    for (int64_t t = 0; t < kTile; ++t) s.carried[k + t] = sum[t];
  }
}

/// sum += U_jk x_j over the block's columns j < k.
LORIKEET_INLINE void add_within(Column& sum, const float* u, const Column* x, int64_t k) {
  for (int64_t j = 0; j < k; ++j) sum += x[j] * u[j];
}

LORIKEET_INLINE void raise_to_magnitude(Column& largest, const Column& x) {
  for (int64_t r = 0; r < kRows; ++r) largest[r] = std::max(largest[r], std::abs(x[r]));
}

/// largest = the largest magnitude of each row's block, as it would be without rounding.
LORIKEET_INLINE void block_absmax(const Panel& p, int64_t first, int64_t n, Column& largest) {
  const Scratch& s = p.scratch;
  largest = Column{};
  for (int64_t k = 0; k < n; ++k) {
    const Column w = s.weights[first + k];
    if (!p.codes) {
      raise_to_magnitude(largest, w);
      continue;
    }
    Column moved = s.carried[k];
    add_within(moved, p.feedback.weights(first + k) + first, s.shifts, k);
    s.shifts[k] = -moved;
    raise_to_magnitude(largest, w + moved);
  }
}

/// The code book in the order of its values.
struct CodeBook {
  std::array<float, 15> midpoints;
  std::array<float, 16> values;
  const std::array<uint8_t, 16>& codes;
  explicit CodeBook(Bnb4Type type) : midpoints(midpoints_of(type)), values(), codes(order_of(type)) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = code_of(type)[codes[i]];
  }
};

LORIKEET_INLINE void reciprocal_of(const Column& scale, Column& reciprocal) {
  for (int64_t r = 0; r < kRows; ++r) reciprocal[r] = 1.0f / std::max(scale[r], kSmallestAbsmax);
}

/// The place of each value in the order of the codes, as bitsandbytes counts mid-points, and what stands
/// there.
LORIKEET_INLINE void round_column(const CodeBook& book, const Column& x, int32_t* place, Column& rounded) {
  for (int64_t r = 0; r < kRows; ++r) place[r] = 0;
  for (const float m : book.midpoints)
    for (int64_t r = 0; r < kRows; ++r) place[r] += x[r] > m ? 1 : 0;
  for (int64_t r = 0; r < kRows; ++r) rounded[r] = book.values[static_cast<size_t>(place[r])];
}

/// absmax *= the share that leaves the least error as long as no column's error moves another.
LORIKEET_INLINE void choose_scale(const Panel& p, const CodeBook& book, int64_t first, int64_t n,
                                  Column& absmax) {
  const Scratch& s = p.scratch;
  Column least{}, chosen = absmax;
  for (int step = 0; step < kShares; ++step) {
    const Column scale = absmax * (1 - kShareStep * static_cast<float>(step));
    Column reciprocal{}, square{}, rounded{};
    reciprocal_of(scale, reciprocal);
    for (int64_t k = 0; k < n; ++k) {
      const Column x = s.weights[first + k] - s.shifts[k];
      int32_t place[kRows];
      round_column(book, x * reciprocal, place, rounded);
      const Column error = x - rounded * scale;
      square += error * error * p.feedback.d(first + k);
    }
    for (int64_t r = 0; r < kRows; ++r) {
      if (step > 0 && !(square[r] < least[r])) continue;
      least[r] = square[r];
      chosen[r] = scale[r];
    }
  }
  absmax = chosen;
}

LORIKEET_INLINE void round_block(const Panel& p, const CodeBook& book, int64_t first, int64_t n) {
  const Scratch& s = p.scratch;
  const int64_t cols = p.feedback.size();
  Column absmax{}, reciprocal{}, square{}, rounded{};
  block_absmax(p, first, n, absmax);
  if (p.codes) choose_scale(p, book, first, n, absmax);
  reciprocal_of(absmax, reciprocal);
  uint8_t high[kRows];
  for (int64_t k = 0; k < n; ++k) {
    const Column w = s.weights[first + k];
    Column c = s.carried[k];
    add_within(c, p.feedback.weights(first + k) + first, s.errors + first, k);
    int32_t place[kRows];
    round_column(book, (p.codes ? w + c : w) * reciprocal, place, rounded);
    const Column error = w - rounded * absmax, residual = error + c;
    s.errors[first + k] = error;
    square += residual * residual * p.feedback.d(first + k);
    if (!p.codes) continue;
    for (int64_t r = 0; r < p.rows; ++r) {
      const uint8_t code = book.codes[static_cast<size_t>(place[r])];
      if (k % 2 == 0)
        high[r] = static_cast<uint8_t>(code << 4);
      else
        p.codes[((p.first_row + r) * cols + first + k) / 2] = high[r] | code;
    }
  }
  for (int64_t r = 0; r < p.rows; ++r) {
    *p.square += static_cast<double>(square[r]);
    if (p.codes) p.absmax[((p.first_row + r) * cols + first) / n] = absmax[r];
  }
}

LORIKEET_INLINE void round_panel(const Panel& p) {
  const int64_t n = p.options.blocksize;
  const CodeBook book(p.options.type);
  for (int64_t first = 0; first < p.feedback.size(); first += n) {
    carry(p.feedback, p.scratch, first, n);
    round_block(p, book, first, n);
  }
}

LORIKEET_WIDTHS(round_panel, Panel)

/// The rows of a panel as columns; lanes behind the last row are zero.
void load_panel(const Weight& source, int64_t first_row, int64_t rows, DType round_to, std::string_view name,
                float* row, Column* weights) {
  std::fill_n(weights, source.cols, Column{});
  for (int64_t r = 0; r < rows; ++r) {
    load_finite(source, (first_row + r) * source.cols, source.cols, round_to, name, row);
    for (int64_t k = 0; k < source.cols; ++k) weights[k][r] = row[k];
  }
}

}  // namespace

OutputError encode_bnb4_with_feedback(const Weight& source, const Bnb4Options& options,
                                      const ErrorFeedback& feedback, uint8_t* codes, float* absmax,
                                      std::string_view name, DType round_to, ThreadPool& threads,
                                      int vector_bytes) {
  const int64_t cols = source.cols, n = options.blocksize, panels = (source.rows + kRows - 1) / kRows;
  LORIKEET_CHECK(takes_feedback(cols, options) && cols == feedback.size() &&
                 vector_bytes <= widest_encoder());
  const int64_t columns = 2 * cols + 2 * n + (cols + kRows - 1) / kRows;  // the last: one row as it is read
  const Buffer memory(static_cast<size_t>(columns * threads.size()) * sizeof(Column), "calibrated rounding");
  std::vector<OutputError> errors(static_cast<size_t>(panels));
  threads.for_each(panels, [&](int64_t item, int thread) {
    auto* at = reinterpret_cast<Column*>(memory.data()) + thread * columns;
    const Scratch scratch{at, at + cols, at + 2 * cols, at + 2 * cols + n};
    const int64_t first = item * kRows, rows = std::min(kRows, source.rows - first);
    load_panel(source, first, rows, round_to, name, reinterpret_cast<float*>(at + 2 * cols + 2 * n),
               scratch.weights);
    OutputError& e = errors[static_cast<size_t>(item)];
    round_panel_at(vector_bytes,
                   {options, feedback, scratch, first, rows, nullptr, nullptr, &e.square_plain});
    round_panel_at(vector_bytes, {options, feedback, scratch, first, rows, codes, absmax, &e.square});
    if (!std::isfinite(e.square))
      throw Error(ErrorKind::format,
                  "cannot quantize: the sums that correct weights for others' errors overflow",
                  fmt::format("tensor '{}', rows {} to {}", name, first, first + rows - 1),
                  "quantize without calibration");
  });
  OutputError sum;
  for (const OutputError& e : errors) {
    sum.square += e.square;
    sum.square_plain += e.square_plain;
  }
  return sum;
}

}  // namespace lorikeet
