#include "generate/group.h"

#include <algorithm>

namespace lorikeet {

namespace {

TensorView logits_view(const Model& model, size_t rows, void* data) {
  return TensorView(data, {static_cast<int64_t>(rows), model.head.w.rows}, DType::f32);
}

/// One dry call of the decoder over `feed`.
void run_dry(Decoder& decoder, const Model& model, std::span<const KvCacheLayer> cache, const Feed& feed) {
  decoder.logits(feed.batch(), cache, feed.cache_at(), feed.at(),
                 logits_view(model, feed.at().size(), nullptr));
}

}  // namespace

void Feed::clear() {
  tokens_.clear();
  positions_.clear();
  cache_at_.clear();
  at_.clear();
  spans_.clear();
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
  if (row.fed + count < static_cast<int64_t>(row.ids.size())) return;
  at_.push_back(static_cast<int32_t>(tokens()) - 1);
  scored_.push_back(index);
}

MicroBatch Feed::batch() const {
  MicroBatch b;
  b.tokens = tokens_;
  b.positions = positions_;
  b.rows = spans_;
  return b;
}

bool next_prefill(const std::vector<LiveRow>& rows, Feed& feed, std::vector<int64_t>& counts) {
  feed.clear();
  counts.assign(rows.size(), 0);
  for (size_t i = 0; i < rows.size() && feed.tokens() < kPrefillTokens; ++i) {
    const int64_t left = rows[i].prompt_length - rows[i].fed;
    if (left <= 0) continue;
    counts[i] = std::min(left, kPrefillTokens - feed.tokens());
    feed.add(rows[i], i, counts[i]);
  }
  return feed.tokens() > 0;
}

std::vector<LiveRow> rows_of_lengths(std::span<const int64_t> prompt_lengths, int64_t max_new_tokens) {
  std::vector<LiveRow> rows(prompt_lengths.size());
  int64_t at = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].prompt_length = prompt_lengths[i];
    rows[i].limit = prompt_lengths[i] + max_new_tokens;
    rows[i].ids.assign(static_cast<size_t>(prompt_lengths[i]), 0);
    rows[i].cache_begin = at;
    at += cache_positions(prompt_lengths[i], max_new_tokens);
  }
  return rows;
}

size_t plan_arena(const Model& model, ThreadPool& threads, Device device, std::vector<LiveRow> rows) {
  Arena arena = Arena::dry();
  Decoder decoder(model, Stream{device, &threads, &arena});
  int64_t positions = 0;
  for (const LiveRow& r : rows) positions += r.limit - 1;
  const std::vector<KvCacheLayer> cache = cache_views(model, positions, Buffer());
  Feed feed;
  std::vector<int64_t> counts;
  while (next_prefill(rows, feed, counts)) {
    run_dry(decoder, model, cache, feed);
    for (size_t i = 0; i < rows.size(); ++i) rows[i].fed += counts[i];
  }
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
