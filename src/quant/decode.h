#pragma once
#include "quant/weight.h"

namespace lorikeet {

/// Decodes W[row0:row1, col0:col1] of any format to f32, row-major with leading dimension `ld` >= col1 -
/// col0.
void decode_rows(const Weight& w, int64_t row0, int64_t row1, int64_t col0, int64_t col1, float* out,
                 int64_t ld);

}  // namespace lorikeet
