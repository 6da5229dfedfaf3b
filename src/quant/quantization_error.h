#pragma once
#include "core/thread_pool.h"
#include "quant/weight.h"

namespace lorikeet {

/// How far a quantized matrix is from the one it stands for.
struct QuantizationError {
  double relative_rms = 0;   ///< sqrt(sum of (w' - w)^2 / sum of w^2); 0 for two matrices of zeros
  double mean_absolute = 0;  ///< mean of |w' - w|
  double worst_block =
      0;  ///< the largest relative_rms of one block; infinite if w is zero there and w' is not
  int64_t worst_row = 0, worst_col = 0;      ///< where that block begins
  double square_error = 0, square_size = 0;  ///< the sums, to pool matrices
};

/// Compares element by element in f64, in an order that does not depend on the number of threads. Blocks are
/// those of `quantized` (64 elements of the flattened matrix where its format has none).
QuantizationError quantization_error(const Weight& exact, const Weight& quantized, ThreadPool& threads);

}  // namespace lorikeet
