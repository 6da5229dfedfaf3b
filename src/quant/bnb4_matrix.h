#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/buffer.h"
#include "core/thread_pool.h"
#include "quant/bnb4_encode.h"
#include "quant/bnb4_feedback.h"

namespace lorikeet {

/// Where the parts of a quantized matrix lie in one piece of memory; each begins at a multiple of 64.
struct Bnb4Layout {
  Bnb4Bytes bytes;
  size_t absmax_at, absmax_codes_at, nested_absmax_at, total;
};
Bnb4Layout bnb4_layout(int64_t elements, const Bnb4Options& options);

/// The matrix of that shape in `memory` (null on a dry run), not yet filled.
Weight bnb4_weight(int64_t rows, int64_t cols, const Bnb4Options& options, std::byte* memory);

/// Fills `memory` with `source` quantized and gives it as a weight. Values are rounded to `round_to` first.
/// The result does not depend on the number of threads. Throws as encode_bnb4.
Weight quantize_bnb4(const Weight& source, const Bnb4Options& options, std::byte* memory,
                     std::string_view name, DType round_to, ThreadPool& threads);

/// A matrix that was quantized for the inputs it gets, in memory of its own.
struct CalibratedWeight {
  Buffer memory;
  Weight weight;
  OutputError error;
};
/// By Hugging Face name with ".weight".
using CalibratedWeights = std::map<std::string, CalibratedWeight>;

/// quantize_bnb4 by encode_bnb4_with_feedback. Throws as that does.
CalibratedWeight calibrated_bnb4(const Weight& source, const Bnb4Options& options,
                                 const ErrorFeedback& feedback, std::string_view name, DType round_to,
                                 ThreadPool& threads);

}  // namespace lorikeet
