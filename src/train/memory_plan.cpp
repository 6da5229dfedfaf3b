#include "train/memory_plan.h"

#include <vector>

namespace lorikeet {

namespace {

/// A micro-batch of the given row lengths whose contents do not matter.
struct PlannedBatch {
  explicit PlannedBatch(RowLengths lengths) {
    for (const int32_t length : lengths) {
      const auto begin = static_cast<int32_t>(tokens.size());
      rows.push_back({begin, length, begin, length});
      for (int32_t i = 0; i < length; ++i) {
        target_at.push_back(begin + i);
        tokens.push_back(0);
        positions.push_back(i);
      }
    }
    row_ids.resize(rows.size());
  }
  MicroBatch view() const { return {tokens, positions, rows, target_at, tokens, row_ids}; }
  std::vector<int32_t> tokens, positions, target_at;
  std::vector<RowSpan> rows;
  std::vector<int64_t> row_ids;
};

template <class F>
StepBytes measure(const Model& model, Device device, ThreadPool& threads, RowLengths rows, const F& run) {
  const PlannedBatch batch(rows);
  Arena arena = Arena::dry();
  Decoder decoder(model, {device, &threads, &arena});
  const LossTotals totals{TensorView(nullptr, {1, 1}, sum_dtype(model.compute)), nullptr, nullptr};
  run(decoder, batch.view(), totals);
  return {arena.saved_at_high_water(), arena.high_water() - arena.saved_at_high_water()};
}

}  // namespace

StepBytes step_bytes(const Model& model, Device device, ThreadPool& threads, RowLengths rows,
                     int64_t kept_blocks) {
  return measure(model, device, threads, rows, [&](Decoder& d, const MicroBatch& b, const LossTotals& t) {
    d.forward_backward(b, 1, kept_blocks, {true, 0, 0}, t);
  });
}

StepBytes evaluation_bytes(const Model& model, Device device, ThreadPool& threads, RowLengths rows) {
  return measure(model, device, threads, rows,
                 [](Decoder& d, const MicroBatch& b, const LossTotals& t) { d.evaluate(b, t); });
}

int64_t most_kept_blocks(const Model& model, Device device, ThreadPool& threads, RowLengths rows,
                         uint64_t budget) {
  // Bytes grow with the number of kept blocks but for the step from none to one, so search from the top down
  // by halves.
  const auto fits = [&](int64_t kept) {
    return step_bytes(model, device, threads, rows, kept).total() <= budget;
  };
  int64_t low = 0, high = static_cast<int64_t>(model.blocks.size());
  if (fits(high)) return high;
  if (!fits(1)) return fits(0) ? 0 : -1;
  low = 1;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

uint64_t process_allowance(uint64_t vocab_size, uint64_t data_bytes, int threads, bool makes_tokenizer) {
  constexpr uint64_t kProgram = uint64_t{24} << 20;     // code, C++ runtime, file headers, heap slack
  constexpr uint64_t kPerToken = 400;                   // vocabulary entry: text, hash slot, merge
  constexpr uint64_t kPerTokenMade = 400;               // the same as a tree of JSON and as its text
  constexpr uint64_t kPerThread = uint64_t{256} << 10;  // touched stack and allocator arena
  const uint64_t per_token = kPerToken + (makes_tokenizer ? kPerTokenMade : 0);
  return kProgram + per_token * vocab_size + data_bytes + kPerThread * static_cast<uint64_t>(threads);
}

}  // namespace lorikeet
