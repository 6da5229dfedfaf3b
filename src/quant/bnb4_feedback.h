#pragma once
// Quantization to bitsandbytes' 4-bit layout that keeps a layer's outputs, not its weights, where they were.
#include <string_view>

#include "core/thread_pool.h"
#include "quant/bnb4_encode.h"
#include "quant/error_feedback.h"

namespace lorikeet {

/// What an error in a layer's weights does to its outputs, summed over the calibration tokens.
struct OutputError {
  double square = 0;        ///< of the codes that were written
  double square_plain = 0;  ///< of each weight's nearest code, for comparison
};

/// True for matrices whose rows are whole blocks: others are quantized to the nearest codes only.
constexpr bool takes_feedback(int64_t cols, const Bnb4Options& options) {
  return cols % options.blocksize == 0;
}

/// As encode_bnb4 for all of `source`, a row of blocks after the other, but each column is rounded after what
/// the errors of the columns before it add (ErrorFeedback). The scale of a block is that share of the largest
/// magnitude, between 0.6 and 1, which leaves the least error: what the few largest weights lose, the others
/// gain. Same layout, other codes and scales; the squares leave out what double quantization of `absmax` does
/// later.
///
/// The result depends neither on the number of threads nor on `vector_bytes`, see encode_bnb4.
/// `source` must take feedback and have as many columns as `feedback`. Throws as encode_bnb4, and
/// Error(format) if the corrections overflow.
OutputError encode_bnb4_with_feedback(const Weight& source, const Bnb4Options& options,
                                      const ErrorFeedback& feedback, uint8_t* codes, float* absmax,
                                      std::string_view name, DType round_to, ThreadPool& threads,
                                      int vector_bytes = widest_encoder());

}  // namespace lorikeet
