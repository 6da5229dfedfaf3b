#include "generate/group.h"

#include <algorithm>
#include <cstring>

namespace lorikeet {

namespace {

TensorView logits_view(const Model& model, size_t rows, void* data) {
  return TensorView(data, {static_cast<int64_t>(rows), model.head.vocab_size()}, DType::f32);
}

/// One dry call of the decoder over `feed`.
void run_dry(Decoder& decoder, const Model& model, std::span<const KvCacheLayer> cache, const Feed& feed) {
  decoder.logits(feed.batch(), cache, feed.cache_at(), feed.at(),
                 logits_view(model, feed.at().size(), nullptr));
}

/// Tokens saved from which on sharing pays: a pass over the weights for few tokens takes as long as they.
constexpr int64_t kWorthSharing = 64;

/// How many tokens two prompts begin with alike, the second's last one left out.
int64_t common_tokens(const LiveRow& a, const LiveRow& b) {
  const auto most = static_cast<std::ptrdiff_t>(std::min(a.ids.size(), b.ids.size() - 1));
  return std::mismatch(a.ids.begin(), a.ids.begin() + most, b.ids.begin()).first - a.ids.begin();
}

char* cache_row(const TensorView& v, int64_t row) {
  return static_cast<char*>(v.data) + static_cast<size_t>(row * v.stride) * size_of(v.dtype);
}

}  // namespace

void Feed::clear() {
  tokens_.clear();
  positions_.clear();
  cache_at_.clear();
  at_.clear();
  spans_.clear();
  lengths_.clear();
  scored_.clear();
}

void Feed::add(const LiveRow& row, size_t index, int64_t count) {
  const auto begin = static_cast<int32_t>(tokens());
  for (int64_t i = row.fed; i < row.fed + count; ++i) {
    tokens_.push_back(row.ids[static_cast<size_t>(i)]);
    positions_.push_back(static_cast<int32_t>(i));
    cache_at_.push_back(static_cast<int32_t>(row.cache_begin + i));
  }
  spans_.push_back({begin, static_cast<int32_t>(count), static_cast<int32_t>(row.cache_begin),
                    static_cast<int32_t>(row.fed + count)});
  lengths_.push_back(static_cast<int32_t>(std::max(row.prompt_length, row.fed + count)));
  if (row.fed + count < static_cast<int64_t>(row.ids.size())) return;
  at_.push_back(static_cast<int32_t>(tokens()) - 1);
  scored_.push_back(index);
}

MicroBatch Feed::batch() const {
  MicroBatch b;
  b.tokens = tokens_;
  b.positions = positions_;
  b.rows = spans_;
  b.rope_lengths = lengths_;
  return b;
}

Group::Group(std::span<const std::vector<int32_t>> prompts, std::span<const size_t> members,
             int64_t max_new_tokens, bool may_share)
    : lone(prompts.size() == 1) {
  int64_t at = 0;
  for (const size_t i : members) {
    LiveRow& row = rows.emplace_back();
    row.prompt = i;
    row.ids = prompts[i];
    row.prompt_length = static_cast<int64_t>(row.ids.size());
    row.limit = row.prompt_length + max_new_tokens;
    row.cache_begin = at;
    at += cache_positions(row.prompt_length, max_new_tokens);
  }
  shared = std::max<int64_t>(rows.front().prompt_length - 1, 0);
  for (const LiveRow& row : rows) shared = std::min(shared, common_tokens(rows.front(), row));
  if (!may_share || shared * static_cast<int64_t>(rows.size() - 1) < kWorthSharing) shared = 0;
}

size_t Group::logits_bytes(const Model& model) const {
  return rows.size() * static_cast<size_t>(model.head.vocab_size()) * sizeof(float);
}

bool next_prefill(const Group& group, Feed& feed, std::vector<int64_t>& counts) {
  feed.clear();
  counts.assign(group.rows.size(), 0);
  const LiveRow& first = group.rows.front();
  if (first.fed < group.shared) {
    counts[0] = std::min(group.shared - first.fed, kPrefillTokens);
    feed.add(first, 0, counts[0]);
    return true;
  }
  for (size_t i = 0; i < group.rows.size() && feed.tokens() < kPrefillTokens; ++i) {
    const int64_t left = group.rows[i].prompt_length - group.rows[i].fed;
    if (left <= 0) continue;
    counts[i] = std::min(left, kPrefillTokens - feed.tokens());
    feed.add(group.rows[i], i, counts[i]);
  }
  return feed.tokens() > 0;
}

bool note_prefill(Group& group, const std::vector<int64_t>& counts) {
  const bool sharing = group.rows.front().fed < group.shared;
  for (size_t i = 0; i < counts.size(); ++i) group.rows[i].fed += counts[i];
  if (!sharing || group.rows.front().fed < group.shared) return false;
  for (LiveRow& row : group.rows) row.fed = group.shared;
  return true;
}

void copy_shared(const Group& group, std::span<const KvCacheLayer> cache) {
  const int64_t from = group.rows.front().cache_begin;
  for (const KvCacheLayer& layer : cache)
    for (const TensorView& v : {layer.k, layer.v}) {
      const size_t row_bytes = static_cast<size_t>(v.cols) * size_of(v.dtype);
      for (size_t i = 1; i < group.rows.size(); ++i)
        std::memcpy(cache_row(v, group.rows[i].cache_begin), cache_row(v, from),
                    static_cast<size_t>(group.shared) * row_bytes);
    }
}

size_t plan_arena(const Model& model, ThreadPool& threads, Device device, Group group) {
  Arena arena = Arena::dry();
  Decoder decoder(model, Stream{device, &threads, &arena, group.lone});
  const std::vector<KvCacheLayer> cache = cache_views(model, group.cache_rows(), Buffer());
  Feed feed;
  std::vector<int64_t> counts;
  while (next_prefill(group, feed, counts)) {
    run_dry(decoder, model, cache, feed);
    note_prefill(group, counts);
  }
  std::vector<LiveRow>& rows = group.rows;
  for (LiveRow& r : rows) {
    r.ids.resize(static_cast<size_t>(r.limit - 1));
    r.fed = r.limit - 2;
  }
  // Rows end at any time, and fewer rows may choose a kernel that wants more memory: every number of them is
  // tried.
  std::stable_sort(rows.begin(), rows.end(),
                   [](const LiveRow& a, const LiveRow& b) { return a.limit > b.limit; });
  for (size_t n = rows.size(); n > 0; --n) {
    feed.clear();
    for (size_t i = 0; i < n; ++i)
      if (rows[i].fed >= rows[i].prompt_length) feed.add(rows[i], i, 1);
    if (feed.tokens() > 0) run_dry(decoder, model, cache, feed);
  }
  return arena.high_water();
}

size_t cache_bytes(const Model& model, int64_t positions) {
  return 2 * model.blocks.size() * static_cast<size_t>(positions * model.spec.kv_size()) *
         size_of(model.compute);
}

std::vector<KvCacheLayer> cache_views(const Model& model, int64_t positions, const Buffer& memory) {
  const Shape shape{positions, model.spec.kv_size()};
  const size_t bytes = static_cast<size_t>(shape.count()) * size_of(model.compute);
  std::vector<KvCacheLayer> layers(model.blocks.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].k = TensorView(memory.at(2 * i * bytes), shape, model.compute);
    layers[i].v = TensorView(memory.at((2 * i + 1) * bytes), shape, model.compute);
  }
  return layers;
}

}  // namespace lorikeet
