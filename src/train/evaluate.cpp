#include "train/evaluate.h"

#include <algorithm>

namespace lorikeet {

EvalTotals evaluate_rows(Decoder& decoder, const std::vector<Sample>& samples,
                         const std::vector<std::vector<uint32_t>>& batches, MicroBatchStorage& storage,
                         const std::atomic<bool>* stop) {
  EvalTotals totals;
  for (const auto& rows : batches) {
    if (stop && stop->load()) {
      totals.stopped = true;
      return totals;
    }
    storage.clear();
    for (const uint32_t row : rows) storage.append(samples[row]);
    const MicroBatch batch = storage.view();
    decoder.evaluate(batch, {TensorView(&totals.loss_sum, {1, 1}, DType::f64), &totals.correct, nullptr});
    totals.targets += static_cast<int64_t>(batch.target_at.size());
    totals.examples += static_cast<int64_t>(rows.size());
  }
  return totals;
}

std::vector<std::vector<int32_t>> largest_row_lengths(const std::vector<Sample>& samples,
                                                      const std::vector<std::vector<uint32_t>>& batches) {
  std::vector<int32_t> most, longest;
  int64_t most_tokens = -1;
  int32_t longest_row = -1;
  for (const auto& rows : batches) {
    std::vector<int32_t> lengths;
    int64_t tokens = 0;
    for (const uint32_t row : rows) {
      lengths.push_back(static_cast<int32_t>(samples[row].input_ids.size()));
      tokens += lengths.back();
    }
    const int32_t row = *std::max_element(lengths.begin(), lengths.end());
    if (row > longest_row) {
      longest_row = row;
      longest = lengths;
    }
    if (tokens > most_tokens) {
      most_tokens = tokens;
      most = std::move(lengths);
    }
  }
  if (most == longest) return {most};
  return {most, longest};
}

}  // namespace lorikeet
