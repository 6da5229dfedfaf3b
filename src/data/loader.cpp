#include "data/loader.h"

#include <algorithm>

#include "core/error.h"
#include "data/packing.h"
#include "data/shuffle.h"

namespace lorikeet {

namespace {
constexpr int64_t kMaxRowsVisited = 20'000'000;  // about a second of shuffling
}

void MicroBatchStorage::reserve(size_t tokens, size_t rows) {
  for (auto* v : {&tokens_, &positions_, &target_at_, &target_id_}) v->reserve(tokens);
  rows_.reserve(rows);
  row_ids_.reserve(rows);
}

void MicroBatchStorage::clear() {
  for (auto* v : {&tokens_, &positions_, &target_at_, &target_id_}) v->clear();
  rows_.clear();
  row_ids_.clear();
}

void MicroBatchStorage::append(const Sample& sample) {
  const auto begin = static_cast<int32_t>(tokens_.size());
  const auto n = static_cast<int32_t>(sample.input_ids.size());
  rows_.push_back({begin, n, begin, n});
  row_ids_.push_back(sample.row_id);
  for (int32_t i = 0; i < n; ++i) {
    tokens_.push_back(sample.input_ids[static_cast<size_t>(i)]);
    positions_.push_back(i);
    const int32_t label = sample.labels[static_cast<size_t>(i)];
    if (i == 0 || label == kNoTarget) continue;
    target_at_.push_back(begin + i - 1);
    target_id_.push_back(label);
  }
}

int64_t MicroBatchStorage::bytes() const {
  return static_cast<int64_t>(
      (tokens_.capacity() + positions_.capacity() + target_at_.capacity() + target_id_.capacity()) *
          sizeof(int32_t) +
      rows_.capacity() * sizeof(RowSpan) + row_ids_.capacity() * sizeof(int64_t));
}

Loader::Loader(const std::vector<Sample>& samples, const LoaderOptions& options)
    : samples_(samples), options_(options) {
  if (options.packing) {
    sequences_ = pack_rows(samples, options.max_length);
  } else {
    sequences_.resize(samples.size());
    for (uint32_t i = 0; i < samples.size(); ++i) sequences_[i] = {i};
  }
  for (const auto& sequence : sequences_) {
    int64_t tokens = 0;
    for (const uint32_t row : sequence) tokens += static_cast<int64_t>(samples[row].input_ids.size());
    sequence_tokens_.push_back(tokens);
    tokens_ += tokens;
  }
}

int64_t Loader::steps_per_epoch() const {
  const int64_t per_step = options_.batch_rows * options_.accumulation;
  return (sequences() + per_step - 1) / per_step;
}

const std::vector<uint32_t>& Loader::order(int64_t epoch) {
  if (order_epoch_ == epoch) return order_;
  if (options_.shuffle) {
    order_ = shuffled(sequences_.size(), options_.seed, "row order", static_cast<uint64_t>(epoch));
  } else if (order_.empty()) {
    order_.resize(sequences_.size());
    for (uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
  }
  order_epoch_ = epoch;
  return order_;
}

void Loader::load(int64_t epoch, int64_t index, MacroBatch& out) {
  const std::vector<uint32_t>& rows = order(epoch);
  const auto micro = static_cast<size_t>(options_.batch_rows);
  const size_t macro = micro * static_cast<size_t>(options_.accumulation);
  const size_t begin = static_cast<size_t>(index) * macro, end = std::min(begin + macro, rows.size());
  LORIKEET_CHECK(index >= 0 && begin < end);
  out.count = (end - begin + micro - 1) / micro;
  out.tokens = out.target_tokens = out.rows = 0;
  if (out.storage.size() < out.count) out.storage.resize(out.count);
  for (size_t m = 0; m < out.count; ++m) {
    MicroBatchStorage& batch = out.storage[m];
    batch.clear();
    for (size_t i = begin + m * micro; i < std::min(begin + (m + 1) * micro, end); ++i)
      for (const uint32_t row : sequences_[rows[i]]) batch.append(samples_[row]);
    const MicroBatch view = batch.view();
    out.tokens += view.n();
    out.target_tokens += static_cast<int64_t>(view.target_at.size());
    out.rows += static_cast<int64_t>(view.rows.size());
  }
}

template <class F>
void Loader::for_each_micro_batch(int64_t steps, const F& f) {
  const auto micro = static_cast<size_t>(options_.batch_rows);
  const size_t macro = micro * static_cast<size_t>(options_.accumulation);
  const int64_t per_epoch = steps_per_epoch();
  if (options_.shuffle && steps / per_epoch * sequences() > kMaxRowsVisited) {
    // Too many orders to look through: the longest sequences together bound them all.
    std::vector<uint32_t> rows(sequences_.size());
    for (uint32_t i = 0; i < rows.size(); ++i) rows[i] = i;
    std::stable_sort(rows.begin(), rows.end(),
                     [&](uint32_t a, uint32_t b) { return tokens_of(a) > tokens_of(b); });
    f(std::span(rows).first(std::min(micro, rows.size())));
    return;
  }
  for (int64_t step = 0; step < steps; step += per_epoch) {
    const std::vector<uint32_t>& rows = order(step / per_epoch);
    const size_t end = std::min(rows.size(), static_cast<size_t>(std::min(per_epoch, steps - step)) * macro);
    // A macro-batch is a whole number of micro-batches unless it is the last, so these need no outer loop.
    for (size_t at = 0; at < end; at += micro) f(std::span(rows).subspan(at, std::min(micro, end - at)));
    if (!options_.shuffle) break;  // every epoch is the same
  }
}

std::vector<MicroBatchStorage> Loader::largest(int64_t steps) {
  std::vector<uint32_t> most, longest;
  int64_t most_tokens = -1, longest_row = -1;
  for_each_micro_batch(steps, [&](std::span<const uint32_t> rows) {
    int64_t tokens = 0, row_tokens = 0;
    for (const uint32_t sequence : rows) {
      tokens += tokens_of(sequence);
      for (const uint32_t row : sequences_[sequence])
        row_tokens = std::max(row_tokens, static_cast<int64_t>(samples_[row].input_ids.size()));
    }
    if (tokens > most_tokens) {
      most_tokens = tokens;
      most.assign(rows.begin(), rows.end());
    }
    if (row_tokens > longest_row) {
      longest_row = row_tokens;
      longest.assign(rows.begin(), rows.end());
    }
  });
  std::vector<MicroBatchStorage> batches;
  for (const auto* rows : {&most, &longest}) {
    if (rows == &longest && longest == most) break;
    MicroBatchStorage& batch = batches.emplace_back();
    for (const uint32_t sequence : *rows) {
      for (const uint32_t row : sequences_[sequence]) {
        Sample s = samples_[row];
        s.labels = s.input_ids;
        batch.append(s);
      }
    }
  }
  return batches;
}

void Loader::reserve(MacroBatch& out, int64_t steps) {
  size_t tokens = 0, count = 0;
  for_each_micro_batch(steps, [&](std::span<const uint32_t> rows) {
    size_t n = 0, r = 0;
    for (const uint32_t sequence : rows) {
      n += static_cast<size_t>(tokens_of(sequence));
      r += sequences_[sequence].size();
    }
    tokens = std::max(tokens, n);
    count = std::max(count, r);
  });
  const auto micro_batches = static_cast<size_t>(
      std::min(options_.accumulation, (sequences() + options_.batch_rows - 1) / options_.batch_rows));
  out.storage.resize(micro_batches);
  for (MicroBatchStorage& s : out.storage) s.reserve(tokens, count);
}

std::vector<std::vector<uint32_t>> evaluation_batches(const std::vector<Sample>& samples, int64_t rows,
                                                      int64_t max_tokens) {
  std::vector<std::vector<uint32_t>> batches;
  int64_t tokens = 0;
  for (uint32_t i = 0; i < samples.size(); ++i) {
    const auto n = static_cast<int64_t>(samples[i].input_ids.size());
    if (batches.empty() || static_cast<int64_t>(batches.back().size()) >= rows || tokens + n > max_tokens) {
      batches.emplace_back();
      tokens = 0;
    }
    batches.back().push_back(i);
    tokens += n;
  }
  return batches;
}

}  // namespace lorikeet
