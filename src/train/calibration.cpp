#include "train/calibration.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "backend/args.h"
#include "backend/backend.h"
#include "core/error.h"
#include "core/philox.h"
#include "data/loader.h"
#include "export/quantize.h"
#include "model/decoder.h"
#include "model/loader.h"

namespace lorikeet {
namespace {

constexpr int64_t kBatchRows = 32, kBatchTokens = 2048;

/// The linear layers of a block by what they read, in the order of linear_module_paths.
template <class Block>
auto groups_of(Block& b) {
  return std::array{&b.qkv, &b.o, &b.gate_up, &b.down};
}

/// A model whose weights are exchanged block after block.
class Calibrator {
 public:
  Calibrator(const ModelFiles& files, const std::vector<Sample>& samples, const CalibrationOptions& options,
             ThreadPool& threads)
      : files_(files),
        options_(options),
        threads_(threads),
        store_(files, {BaseFormat::dense, {}, options.compute, &threads, false, {}}),
        nothing_learns_(options.compute),
        paths_(linear_module_paths(files.spec())) {
    ModelOptions model;
    model.compute = options.compute;
    for (const Sample& s : samples)
      model.positions = std::max(model.positions, static_cast<int64_t>(s.input_ids.size()));
    model_ = build_model(files.spec(), store_, model, nothing_learns_, false, false);
    for (const auto& rows : evaluation_batches(samples, kBatchRows, kBatchTokens)) {
      MicroBatchStorage& batch = batches_.emplace_back();
      for (const uint32_t row : rows) batch.append(samples[row]);
      tokens_ += batch.view().n();
      largest_ = std::max(largest_, batch.view().n());
    }
    size_t widest = 0;
    for (const BlockSlots& b : model_.blocks) {
      size_t bytes = 0;
      for (const LinearGroup* g : groups_of(b)) bytes += gram_bytes(*g);
      widest = std::max(widest, bytes);
    }
    if (widest == 0)
      throw Error(ErrorKind::usage,
                  fmt::format("no linear layer has rows of whole blocks of {}", options.bnb.blocksize),
                  "bnb_4bit_blocksize", "use a smaller block size, or quantize without data");
    gram_memory_ = Buffer(widest, "products of the layers' inputs");
  }

  CalibratedWeights run() {
    const size_t row_bytes = static_cast<size_t>(model_.spec.hidden_size) * size_of(options_.compute);
    const Buffer hidden(static_cast<size_t>(tokens_) * row_bytes, "hidden states"),
        next(static_cast<size_t>(largest_) * row_bytes, "hidden states");
    const std::vector<BlockSlots> dense = model_.blocks;
    Arena plan = Arena::dry();
    pass_all(plan, Buffer(), Buffer());
    model_.blocks = dense;
    Arena arena(plan.high_water());
    pass_all(arena, hidden, next);
    return std::move(calibrated_);
  }

 private:
  size_t gram_bytes(const LinearGroup& g) const {
    const int64_t k = g.slots[0].w.cols;
    return takes_feedback(k, options_.bnb) ? static_cast<size_t>(k * k) * sizeof(float) : 0;
  }

  /// Everything; on a dry arena nothing but its high water, with quantized weights of sizes only left behind.
  void pass_all(Arena& arena, const Buffer& hidden, const Buffer& next) {
    const Stream stream{Device::cpu, &threads_, &arena};
    Decoder decoder(model_, stream);
    const auto blocks = static_cast<int64_t>(model_.blocks.size());
    next_path_ = 0;
    for_each_batch(hidden, [&](const MicroBatch& batch, TensorView x) { decoder.embed(batch, x); });
    for (int64_t i = 0; i < blocks; ++i) {
      const auto layer = static_cast<size_t>(i);
      start_grams(layer, arena.is_dry());
      const LinearObserver observer = [&](const LinearGroup& g, const TensorView& x) {
        const TensorView gram = grams_[index_of(layer, g)];
        if (gram) dispatch(stream, TokenSumArgs{gram, x, x, 1});
      };
      for_each_batch(hidden, [&](const MicroBatch& batch, TensorView x) {
        decoder.block(layer, batch, x, {}, &observer);
      });
      quantize(layer, arena.is_dry());
      for_each_batch(hidden, [&](const MicroBatch& batch, TensorView x) {
        const TensorView out(next.data(), x.shape(), x.dtype);
        decoder.block(layer, batch, x, out, nullptr);
        if (!arena.is_dry()) std::memcpy(x.data, out.data, x.size_bytes());
      });
      if (!arena.is_dry() && options_.after) options_.after(i + 1, blocks);
    }
  }

  template <class F>
  void for_each_batch(const Buffer& hidden, const F& f) const {
    size_t at = 0;
    for (const MicroBatchStorage& storage : batches_) {
      const MicroBatch batch = storage.view();
      const TensorView x(hidden.at(at), {batch.n(), model_.spec.hidden_size}, options_.compute);
      f(batch, x);
      at += x.size_bytes();
    }
  }

  size_t index_of(size_t layer, const LinearGroup& g) const {
    const auto groups = groups_of(model_.blocks[layer]);
    const auto at = std::find(groups.begin(), groups.end(), &g);
    LORIKEET_CHECK(at != groups.end());
    return static_cast<size_t>(at - groups.begin());
  }

  /// Zeroed products X^T X for the block's groups; none where they would be of no use.
  void start_grams(size_t layer, bool dry) {
    const auto groups = groups_of(model_.blocks[layer]);
    size_t at = 0;
    for (size_t i = 0; i < groups.size(); ++i) {
      const int64_t k = groups[i]->slots[0].w.cols;
      const size_t bytes = gram_bytes(*groups[i]);
      grams_[i] = bytes > 0 ? TensorView(gram_memory_.at(at), {k, k}, DType::f32) : TensorView();
      at += bytes;
    }
    if (!dry) std::fill_n(gram_memory_.data(), at, std::byte{});
  }

  void quantize(size_t layer, bool dry) {
    const auto groups = groups_of(model_.blocks[layer]);
    for (size_t i = 0; i < groups.size(); ++i) {
      if (!groups[i]->slots[0].w) continue;  // experts stand in its place
      std::optional<ErrorFeedback> feedback;
      if (grams_[i] && !dry) feedback.emplace(grams_[i], threads_);
      for (int s = 0; s < groups[i]->count; ++s) {
        LinearSlot& slot = groups[i]->slots[s];
        const std::string path = paths_.at(next_path_++);
        LORIKEET_CHECK(slot.dropout_stream == stable_hash(path));
        if (feedback)
          exchange(slot, path + ".weight", *feedback);
        else if (grams_[i])
          slot.w = bnb4_weight(slot.w.rows, slot.w.cols, options_.bnb, nullptr);
      }
    }
  }

  void exchange(LinearSlot& slot, const std::string& name, const ErrorFeedback& feedback) {
    const SourceTensor& t = files_.at(name);
    std::vector<int32_t> row_map;
    const Weight source = stored_weight(t, files_.spec(), row_map);
    CalibratedWeight& c = calibrated_
                              .emplace(name, calibrated_bnb4(source, options_.bnb, feedback, name,
                                                             source_rounding(files_), threads_))
                              .first->second;
    slot.w = c.weight;
    store_.release(name);
  }

  const ModelFiles& files_;
  const CalibrationOptions& options_;
  ThreadPool& threads_;
  WeightStore store_;
  TrainableStore nothing_learns_;
  std::vector<std::string> paths_;
  size_t next_path_ = 0;
  Model model_;
  std::vector<MicroBatchStorage> batches_;
  int64_t tokens_ = 0, largest_ = 0;
  Buffer gram_memory_;
  std::array<TensorView, 4> grams_;
  CalibratedWeights calibrated_;
};

}  // namespace

std::vector<Sample> spread_samples(const std::vector<Sample>& samples, int64_t count) {
  const auto n = static_cast<int64_t>(samples.size()), taken = std::min(count, n);
  std::vector<Sample> chosen;
  for (int64_t i = 0; i < taken; ++i) chosen.push_back(samples[static_cast<size_t>(i * n / taken)]);
  return chosen;
}

CalibratedWeights calibrate(const ModelFiles& files, const std::vector<Sample>& samples,
                            const CalibrationOptions& options, ThreadPool& threads) {
  expect_quantizable(files);
  return Calibrator(files, samples, options, threads).run();
}

}  // namespace lorikeet
