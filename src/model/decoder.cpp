#include "model/decoder.h"

#include <algorithm>
#include <numeric>

#include "core/philox.h"
#include "model/block.h"
#include "model/rope_table.h"
#include "ops/embedding.h"

namespace lorikeet {

namespace {
/// Values or records of one block: the most that decoder_block makes, with room for a family's additions.
constexpr size_t kRecordsPerBlock = 40;

bool embeddings_learn(const Model& m) { return m.embedding.learns() || m.positions_table.learns(); }

int64_t lowest_learning_block(const Model& m) {
  if (embeddings_learn(m)) return 0;
  for (size_t i = 0; i < m.blocks.size(); ++i)
    if (m.blocks[i].learns()) return static_cast<int64_t>(i);
  return static_cast<int64_t>(m.blocks.size());
}
}  // namespace

Decoder::Decoder(const Model& model, const Stream& stream)
    : model_(model),
      stream_(stream),
      tape_(stream, model.compute, kRecordsPerBlock * (model.blocks.size() + 1)),
      layers_(model.blocks.size()),
      lowest_(lowest_learning_block(model)) {}

Sequence Decoder::sequence(const MicroBatch& batch) {
  Sequence s;
  s.batch = &batch;
  s.rope_at = batch.positions.data();
  std::copy_n(model_.rope, kRopes, s.rope);
  const RopeSpec& rope = model_.spec.rope;
  if (rope.rotary_dim == 0 || !rope.by_length()) return s;
  Arena& arena = tape_.arena();
  const Shape shape{batch.n(), rope.rotary_dim / 2};
  s.rope[0] = {arena.bottom(shape, DType::f32, "rope.cos"), arena.bottom(shape, DType::f32, "rope.sin")};
  static_assert(sizeof(int32_t) == sizeof(float));
  auto* rows = static_cast<int32_t*>(arena.bottom({1, batch.n()}, DType::f32, "rope.rows").data);
  s.rope_at = rows;
  if (stream_.dry()) return s;
  std::iota(rows, rows + batch.n(), 0);
  fill_rope_table(rope, batch, *stream_.threads, s.rope[0]);
  return s;
}

void Decoder::begin(const MicroBatch& batch) {
  tape_.arena().rewind_bottom(0);
  tape_.arena().rewind_top(0);
  tape_.rewind({});
  seq_ = sequence(batch);
}

void Decoder::start(const MicroBatch& batch, TensorView hidden) {
  embedding_forward(stream_, model_.embedding, batch.tokens, hidden, false);
  if (model_.positions_table)
    embedding_forward(stream_, model_.positions_table, batch.positions, hidden, true);
  const DropoutKey& key = seq_.dropout;
  if (!key.active || !(model_.neftune_noise_alpha > 0)) return;
  // Noise goes to what leaves the embedding module, and through whatever scale follows.
  const double alpha =
      model_.neftune_noise_alpha * (model_.spec.embedding_scales_itself ? 1 : model_.spec.embedding_scale);
  tape_.run(NoiseArgs{hidden, alpha, key.seed, key.stream(stable_hash("neftune")), &batch});
}

void Decoder::record(size_t layer, TensorView out) {
  Layer& l = layers_[layer];
  const bool needs_grad = static_cast<int64_t>(layer) > lowest_ || embeddings_learn(model_);
  const Var in = tape_.stored(l.in, needs_grad);
  l.result = decoder_block(tape_, model_.spec, model_.blocks[layer], in, seq_, layer, out);
}

void Decoder::forward_backward(const MicroBatch& batch, double grad_scale, int64_t kept_blocks,
                               const DropoutKey& dropout, const LossTotals& totals) {
  Arena& arena = tape_.arena();
  const Shape shape{batch.n(), model_.spec.hidden_size};
  const auto n = static_cast<int64_t>(layers_.size());
  begin(batch);
  seq_.dropout = dropout;

  TensorView x = arena.bottom(shape, model_.compute, "embedding");
  start(batch, x);
  for (int64_t i = 0; i < n; ++i) {
    Layer& l = layers_[static_cast<size_t>(i)];
    l.in = x;
    l.bottom = arena.bottom_mark();
    l.mark = tape_.mark();
    l.out = arena.bottom(shape, model_.compute, "block.out");
    tape_.set_recording(i >= lowest_ && i + kept_blocks >= n);
    const size_t top = arena.top_mark();
    record(static_cast<size_t>(i), l.out);
    arena.rewind_top(top);
    if (!tape_.recording()) tape_.rewind(l.mark);
    x = l.out;
  }
  tape_.set_recording(true);
  const bool blocks_learn = lowest_ < n || embeddings_learn(model_);
  // The one gradient that crosses blocks, always this buffer.
  const TensorView d = arena.top(shape, model_.compute, "d_hidden");
  linear_cross_entropy(stream_, model_.head, x, d, batch, dropout, grad_scale, totals);
  if (!blocks_learn) return;
  for (int64_t i = n; i-- > lowest_;) {
    const Layer& l = layers_[static_cast<size_t>(i)];
    if (i + kept_blocks < n) {
      arena.rewind_bottom(l.bottom);
      record(static_cast<size_t>(i), {});  // nobody reads this block's output again
    }
    tape_.give_grad(l.result, d, true);
    tape_.backward_to(l.mark);
    arena.rewind_bottom(l.bottom);
  }
  embedding_backward(stream_, model_.embedding, batch.tokens, d);
  embedding_backward(stream_, model_.positions_table, batch.positions, d);
}

void Decoder::run_block(size_t layer, TensorView in, TensorView out) {
  layers_[layer].in = in;
  const Tape::Mark mark = tape_.mark();
  const size_t top = tape_.arena().top_mark();
  record(layer, out);
  tape_.arena().rewind_top(top);
  tape_.rewind(mark);
}

TensorView Decoder::forward(const MicroBatch& batch,
                            const std::function<void(int64_t, TensorView)>& observe) {
  Arena& arena = tape_.arena();
  const Shape shape{batch.n(), model_.spec.hidden_size};
  TensorView in = arena.bottom(shape, model_.compute, "hidden"),
             out = arena.bottom(shape, model_.compute, "hidden");
  start(batch, in);
  tape_.set_recording(false);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (observe) observe(static_cast<int64_t>(i), in);
    run_block(i, in, out);
    std::swap(in, out);
  }
  if (observe) observe(static_cast<int64_t>(layers_.size()), in);
  return in;
}

void Decoder::embed(const MicroBatch& batch, TensorView out) {
  begin(batch);
  start(batch, out);
}

void Decoder::block(size_t layer, const MicroBatch& batch, TensorView x, TensorView out,
                    const LinearObserver* observer) {
  begin(batch);
  seq_.observer = observer;
  tape_.set_recording(false);
  run_block(layer, x, out);
}

void Decoder::evaluate(const MicroBatch& batch, const LossTotals& totals) {
  begin(batch);
  const TensorView x = forward(batch, {});
  linear_cross_entropy(stream_, model_.head, x, {}, batch, {}, 0, totals);
}

void Decoder::logits(const MicroBatch& batch, std::span<const KvCacheLayer> cache,
                     std::span<const int32_t> cache_at, std::span<const int32_t> at, TensorView out,
                     const std::function<void(int64_t layer, TensorView hidden)>& observe) {
  begin(batch);
  seq_.cache = cache;
  seq_.cache_at = cache_at;
  const TensorView x = forward(batch, observe);
  head_logits(stream_, model_.head, x, at, out);
}

}  // namespace lorikeet
