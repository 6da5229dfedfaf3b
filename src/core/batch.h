#pragma once
#include <cstdint>
#include <span>

namespace lorikeet {

/// One row (sequence) of a micro-batch inside tensors whose rows lie end to end: `q_count` query tokens from
/// `q_begin`, attending `k_count` key/value positions from `k_begin`. Query i of the row is at position
/// k_count - q_count + i among the keys and sees the keys up to itself. In training both ranges are equal;
/// with a KV cache the keys lie in the cache and outnumber the queries.
struct RowSpan {
  int32_t q_begin = 0, q_count = 0, k_begin = 0, k_count = 0;
};

/// A micro-batch: N tokens of several rows end to end, never padded. Plain views of host memory that outlives
/// the step.
struct MicroBatch {
  std::span<const int32_t> tokens;     ///< [N] input ids
  std::span<const int32_t> positions;  ///< [N] position of each token in its row
  std::span<const RowSpan> rows;
  std::span<const int32_t> target_at;  ///< [targets] token indices whose output is scored, ascending
  std::span<const int32_t> target_id;  ///< [targets] the id each of them should predict
  std::span<const int64_t> row_ids;    ///< [rows] stable number of each row in the data set: the dropout key
  /// [rows] the length by which a rotary embedding that depends on it turns: the whole prompt's while parts
  /// of it are fed. Empty: k_count.
  std::span<const int32_t> rope_lengths = {};
  int64_t n() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace lorikeet
