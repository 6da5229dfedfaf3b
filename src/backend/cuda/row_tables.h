#pragma once
// The lengths and places of rows as tables in device memory, in plain types: nvcc cannot read fmt.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>

#include "core/batch.h"

namespace lorikeet::cuda {

/// Tables of `rows` entries and, for places, one more; the entries beyond those of the real rows are empty
/// rows at the end of the last one. A place is the first element of a row in a tensor of `stride` elements
/// from token to token.
struct RowTables {
  static constexpr int kMost = 9;
  struct Places {
    int64_t* at;
    int64_t stride;
    bool of_keys;
  };
  int32_t rows;
  int32_t *queries, *keys;
  int count;
  Places places[kMost];
};

/// Starts filling the tables. The rows travel with the launch: they may go at once.
cudaError_t start_row_tables(const RowTables& tables, std::span<const RowSpan> rows, cudaStream_t queue);

}  // namespace lorikeet::cuda
