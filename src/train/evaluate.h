#pragma once
#include <atomic>
#include <vector>

#include "data/loader.h"
#include "model/decoder.h"

namespace lorikeet {

struct EvalTotals {
  double loss_sum = 0;
  int64_t targets = 0, correct = 0, examples = 0;
  bool stopped = false;  ///< `stop` became true on the way
  double loss() const { return targets ? loss_sum / static_cast<double>(targets) : 0; }
  double accuracy() const {
    return targets ? static_cast<double>(correct) / static_cast<double>(targets) : 0;
  }
};

/// Loss and hits over all rows, in micro-batches of `batches` (row numbers); `storage` is reused.
EvalTotals evaluate_rows(Decoder& decoder, const std::vector<Sample>& samples,
                         const std::vector<std::vector<uint32_t>>& batches, MicroBatchStorage& storage,
                         const std::atomic<bool>* stop = nullptr);

/// Row lengths of the batch with most tokens and of the one with the longest row: what a plan must hold.
std::vector<std::vector<int32_t>> largest_row_lengths(const std::vector<Sample>& samples,
                                                      const std::vector<std::vector<uint32_t>>& batches);

}  // namespace lorikeet
