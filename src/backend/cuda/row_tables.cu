#include <algorithm>

#include "backend/cuda/row_tables.h"

namespace lorikeet::cuda {

namespace {

/// Rows of one launch: its arguments may take 4 KiB.
constexpr int kRowsAtOnce = 224;

struct Rows {
  RowSpan row[kRowsAtOnce];
};

/// One thread per row from `first` on.
__global__ void fill_row_tables(RowTables t, Rows rows, int32_t first) {
  const auto i = static_cast<int32_t>(threadIdx.x);
  const int32_t at = first + i;
  if (at > t.rows) return;
  const RowSpan row = rows.row[i];
  if (at < t.rows) {
    t.queries[at] = row.q_count;
    t.keys[at] = row.k_count;
  }
  for (int n = 0; n < t.count; ++n)
    t.places[n].at[at] = (t.places[n].of_keys ? row.k_begin : row.q_begin) * t.places[n].stride;
}

}  // namespace

cudaError_t start_row_tables(const RowTables& tables, std::span<const RowSpan> rows, cudaStream_t queue) {
  RowSpan beyond;
  for (const RowSpan& r : rows) {
    beyond.q_begin = std::max(beyond.q_begin, r.q_begin + r.q_count);
    beyond.k_begin = std::max(beyond.k_begin, r.k_begin + r.k_count);
  }
  for (int32_t first = 0; first <= tables.rows; first += kRowsAtOnce) {
    Rows some;
    for (int32_t i = 0; i < kRowsAtOnce; ++i) {
      const auto at = static_cast<size_t>(first + i);
      some.row[i] = at < rows.size() ? rows[at] : beyond;
    }
    fill_row_tables<<<1, kRowsAtOnce, 0, queue>>>(tables, some, first);
  }
  return cudaGetLastError();
}

}  // namespace lorikeet::cuda
