#pragma once
// One group of prompts that is generated together: the cache, the batches fed to the decoder, the arena they
// need.
#include <vector>

#include "core/buffer.h"
#include "generate/generator.h"
#include "model/decoder.h"

namespace lorikeet {

/// Tokens of one prefill call: enough to fill the matrix kernels, few enough to keep activations small.
constexpr int64_t kPrefillTokens = 1024;

/// A row while it is generated.
struct LiveRow {
  size_t prompt = 0;                     ///< index into the prompts
  std::vector<int32_t> ids;              ///< prompt, then what was generated
  int64_t prompt_length = 0, limit = 0;  ///< limit: largest size of ids
  int64_t cache_begin = 0;               ///< first of its rows in the cache
  int64_t fed = 0;                       ///< ids that the cache holds
  bool live = true;
};

/// Rows that are generated together. The first `shared` tokens, equal in all of them, are fed in the first
/// row; their keys and values are then copied to the others.
struct Group {
  std::vector<LiveRow> rows;
  int64_t shared = 0;
  bool lone = false;  ///< the only prompt there is: kernels need not give what they would beside others

  /// `members` are indices into `prompts`. Tokens are shared if that saves more than the extra pass over the
  /// weights costs; each row keeps at least its last prompt token to be fed. `may_share` is false for models
  /// whose keys depend on the length of the whole row.
  Group(std::span<const std::vector<int32_t>> prompts, std::span<const size_t> members,
        int64_t max_new_tokens, bool may_share);

  int64_t cache_rows() const { return rows.back().cache_begin + rows.back().limit - 1; }
  size_t logits_bytes(const Model& model) const;
};

/// The next tokens of some rows, end to end, as a micro-batch.
class Feed {
 public:
  /// Starts again with no tokens.
  void clear();
  /// Adds the next `count` ids of `row`; if they are its last, its logits are asked for.
  void add(const LiveRow& row, size_t index, int64_t count);

  int64_t tokens() const { return static_cast<int64_t>(tokens_.size()); }
  MicroBatch batch() const;
  std::span<const int32_t> cache_at() const { return cache_at_; }
  std::span<const int32_t> at() const { return at_; }         ///< tokens whose logits are wanted
  std::span<const size_t> scored() const { return scored_; }  ///< the rows they belong to

 private:
  std::vector<int32_t> tokens_, positions_, cache_at_, at_, lengths_;
  std::vector<RowSpan> spans_;
  std::vector<size_t> scored_;
};

/// Fills `feed` with the next prompt tokens of rows that have some, at most kPrefillTokens and `counts` of
/// each row; false if there are none.
bool next_prefill(const Group& group, Feed& feed, std::vector<int64_t>& counts);

/// Notes what next_prefill() gave as fed. True if the shared tokens have just become complete: copy_shared()
/// is due.
bool note_prefill(Group& group, const std::vector<int64_t>& counts);

/// Copies the shared tokens' keys and values from the first row's cache to the others'.
void copy_shared(const Group& group, std::span<const KvCacheLayer> cache);

/// Most arena bytes that prefilling these rows and stepping any number of them takes, by a dry run.
size_t plan_arena(const Model& model, ThreadPool& threads, Device device, Group group);

/// Keys and values of all layers, as views of `memory` (which may be dry).
std::vector<KvCacheLayer> cache_views(const Model& model, int64_t positions, const Buffer& memory);
size_t cache_bytes(const Model& model, int64_t positions);

}  // namespace lorikeet
