#pragma once
// Which rows make up which optimizer step, and their tokens end to end.
//
// Goals: order and content of a step depend on (seed, epoch, index) alone, so a run can start again anywhere;
// nothing is padded; a step allocates nothing after the first.
#include <cstdint>
#include <vector>

#include "core/batch.h"
#include "data/example.h"

namespace lorikeet {

struct LoaderOptions {
  int64_t batch_rows = 4;    ///< rows (or packed sequences) of a micro-batch
  int64_t accumulation = 1;  ///< micro-batches of a step
  bool shuffle = true;
  uint64_t seed = 42;
  bool packing = false;
  int64_t max_length = 1024;  ///< of a packed sequence
};

/// Host memory of one micro-batch.
class MicroBatchStorage {
 public:
  MicroBatch view() const { return {tokens_, positions_, rows_, target_at_, target_id_, row_ids_}; }
  void reserve(size_t tokens, size_t rows);
  void clear();
  /// Appends a row. Target i of a row sits at the token before it, whose output predicts it.
  void append(const Sample& sample);
  int64_t bytes() const;

 private:
  std::vector<int32_t> tokens_, positions_, target_at_, target_id_;
  std::vector<RowSpan> rows_;
  std::vector<int64_t> row_ids_;
};

/// The micro-batches of one optimizer step. Refilled by Loader::load; the views hold until then.
struct MacroBatch {
  std::vector<MicroBatchStorage> storage;
  size_t count = 0;  ///< micro-batches in use
  int64_t tokens = 0, target_tokens = 0, rows = 0;
  MicroBatch micro(size_t i) const { return storage[i].view(); }
};

class Loader {
 public:
  /// `samples` must outlive the loader and stay unchanged.
  Loader(const std::vector<Sample>& samples, const LoaderOptions& options);

  int64_t steps_per_epoch() const;
  int64_t sequences() const { return static_cast<int64_t>(sequences_.size()); }
  int64_t tokens_per_epoch() const { return tokens_; }

  /// Step `index` of epoch `epoch`, both from 0. The last step of an epoch may be short.
  void load(int64_t epoch, int64_t index, MacroBatch& out);

  /// The micro-batch with most tokens and, if it is another one, the one with the longest row, among those of
  /// the first `steps` steps; every token labelled. What a memory plan runs.
  std::vector<MicroBatchStorage> largest(int64_t steps);
  /// Sets the sizes that load() needs, for `steps` steps.
  void reserve(MacroBatch& out, int64_t steps);

 private:
  const std::vector<uint32_t>& order(int64_t epoch);
  int64_t tokens_of(uint32_t sequence) const { return sequence_tokens_[sequence]; }
  template <class F>
  void for_each_micro_batch(int64_t steps, const F& f);

  const std::vector<Sample>& samples_;
  LoaderOptions options_;
  std::vector<std::vector<uint32_t>> sequences_;
  std::vector<int64_t> sequence_tokens_;
  int64_t tokens_ = 0;
  std::vector<uint32_t> order_;
  int64_t order_epoch_ = -1;
};

/// Rows in order, as micro-batches of at most `rows` rows and `max_tokens` tokens (a longer row stands
/// alone): for evaluation.
std::vector<std::vector<uint32_t>> evaluation_batches(const std::vector<Sample>& samples, int64_t rows,
                                                      int64_t max_tokens);

}  // namespace lorikeet
