#pragma once
#include <functional>

#include "autograd/tape.h"
#include "model/model.h"

namespace lorikeet {

/// Runs a model: training steps, evaluation and cached generation, all through decoder_block.
/// Not thread-safe; one per arena.
class Decoder {
 public:
  /// `stream.arena` is the step arena (dry for planning); model and arena must outlive the decoder.
  Decoder(const Model& model, const Stream& stream);

  /// Adds the gradients of grad_scale * (sum of token losses) to everything that learns, and the losses to
  /// `totals`.
  ///
  /// The topmost `kept_blocks` blocks keep their activations; the others keep only their input and are
  /// recorded again in backward. Results are bit-identical for every `kept_blocks`. Nothing below the lowest
  /// block that learns runs backward.
  void forward_backward(const MicroBatch& batch, double grad_scale, int64_t kept_blocks,
                        const DropoutKey& dropout, const LossTotals& totals);

  /// Losses only: no gradients, no dropout, memory of two hidden states and one block.
  void evaluate(const MicroBatch& batch, const LossTotals& totals);

  /// Logits [at.size(), V] of the tokens `at`. With a cache (one layer entry per block) the keys and values
  /// of this batch are appended at rows `cache_at` first; see RowSpan for the spans. `observe`, if set, is
  /// called with the input of each block and with the last norm's input.
  void logits(const MicroBatch& batch, std::span<const KvCacheLayer> cache, std::span<const int32_t> cache_at,
              std::span<const int32_t> at, TensorView out,
              const std::function<void(int64_t layer, TensorView hidden)>& observe = {});

  /// The embeddings of a batch -> out [N,C], and one block on its own, x [N,C] -> out [N,C], without
  /// gradients: for who changes the model between blocks. Both take memory of the arena until the next call.
  /// `observer` may be null.
  void embed(const MicroBatch& batch, TensorView out);
  void block(size_t layer, const MicroBatch& batch, TensorView x, TensorView out,
             const LinearObserver* observer);

 private:
  struct Layer {
    TensorView in, out;
    Var result;
    size_t bottom = 0;
    Tape::Mark mark;
  };
  /// What the blocks know about the batch; may take memory from the bottom of the arena.
  Sequence sequence(const MicroBatch& batch);
  /// Forgets the last batch and prepares for this one.
  void begin(const MicroBatch& batch);
  void start(const MicroBatch& batch, TensorView hidden);
  void run_block(size_t layer, TensorView in, TensorView out);
  /// Forward without recording; returns the last hidden state, in one of two arena buffers.
  TensorView forward(const MicroBatch& batch, const std::function<void(int64_t, TensorView)>& observe);
  void record(size_t layer, TensorView out);

  const Model& model_;
  Stream stream_;
  Tape tape_;
  std::vector<Layer> layers_;
  Sequence seq_;
  int64_t lowest_ = 0;
};

}  // namespace lorikeet
