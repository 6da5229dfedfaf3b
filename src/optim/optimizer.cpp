#include "optim/optimizer.h"

#include <algorithm>

#include "core/philox.h"
#include "io/paged_buffer.h"

namespace lorikeet {

namespace {

constexpr const char* kStateName = "optimizer state";
constexpr size_t kAlignment = 64;
/// Blocks of a tensor that are updated together where pages are released: 1 Mi elements.
constexpr int64_t kPieceBlocks = 4096;

/// As transformers' Trainer: norm weights and biases do not decay.
bool decays(const TrainableStore& store, const NamedTensor& t) {
  const Parameter& p = store.parameters()[t.parameter];
  return p.kind != ParameterKind::lora_bias && (p.kind != ParameterKind::base || p.value.rows > 1);
}

}  // namespace

Optimizer::Optimizer(TrainableStore& store, OptimizerOptions options)
    : store_(store), options_(std::move(options)) {
  options_.release_pages = options_.release_pages && is_paged(options_.optim);  // else the content is lost
  for (const NamedTensor& t : store_.tensors())
    rounding_streams_.push_back(stable_hash("rounding " + t.name));
}

size_t Optimizer::declare(size_t index, const char* prefix, SafetensorsType type, std::vector<int64_t> shape,
                          size_t bytes_per_block) {
  StateTensor t;
  t.name = prefix + tensor(index).name;
  t.type = type;
  t.tensor = index;
  t.offset = bytes_;
  t.bytes = static_cast<size_t>(bits_of(type)) / 8;
  for (const int64_t n : shape) t.bytes *= static_cast<size_t>(n);
  t.shape = std::move(shape);
  t.bytes_per_block = bytes_per_block;
  bytes_ += (t.bytes + kAlignment - 1) / kAlignment * kAlignment;
  state_.push_back(std::move(t));
  return state_.size() - 1;
}

size_t Optimizer::declare(size_t index, const char* prefix, SafetensorsType type) {
  return declare(index, prefix, type, tensor(index).shape,
                 static_cast<size_t>(kUpdateBlock * bits_of(type) / 8));
}

size_t Optimizer::declare_scales(size_t index, const char* prefix) {
  const int64_t blocks = (elements(index) + kUpdateBlock - 1) / kUpdateBlock;
  return declare(index, prefix, SafetensorsType::f32, {blocks}, sizeof(float));
}

void Optimizer::allocate(bool dry) {
  memory_ = is_paged(options_.optim) && !dry ? paged_buffer(bytes_, kStateName, options_.page_folder)
                                             : Buffer(bytes_, kStateName, dry);
}

StochasticRounding Optimizer::rounding(size_t index, int64_t t) const {
  return {options_.seed, rounding_streams_[index] ^ (static_cast<uint64_t>(t) * 0x9E3779B97F4A7C15u)};
}

TensorView Optimizer::vector(size_t state_index) const {
  const StateTensor& t = state_[state_index];
  return TensorView(data(t), {1, static_cast<int64_t>(t.bytes / sizeof(float))}, DType::f32);
}

void Optimizer::step(const Stream& stream, double learning_rate, double grad_scale, int64_t t) {
  size_t next = 0;  // state of the tensor: consecutive
  for (size_t index = 0; index < store_.tensors().size(); ++index) {
    const size_t first = next;
    while (next < state_.size() && state_[next].tensor == index) ++next;
    const AdamWSettings settings{learning_rate * store_.parameters()[tensor(index).parameter].rate_factor,
                                 options_.beta1,
                                 options_.beta2,
                                 options_.epsilon,
                                 decays(store_, tensor(index)) ? options_.weight_decay : 0,
                                 grad_scale,
                                 t};
    const int64_t blocks = BlockRange::all(store_.value_of(tensor(index))).last;
    const int64_t piece = options_.release_pages ? kPieceBlocks : blocks;
    for (int64_t at = 0; at < blocks; at += piece) {
      const BlockRange range{at, std::min(blocks, at + piece)};
      update(index, stream, settings, range);
      for (size_t i = first; i < next; ++i) {
        const size_t begin = static_cast<size_t>(range.first) * state_[i].bytes_per_block;
        const size_t end = static_cast<size_t>(range.last) * state_[i].bytes_per_block;
        release(state_[i], begin, std::min(end, state_[i].bytes) - begin);
      }
    }
  }
  store_.update_compute(stream);
}

size_t Optimizer::piece_bytes() const {
  // Of one tensor, the piece that is worked on; or what a checkpoint copies at once.
  size_t most = kReleaseBytes, sum = 0;
  for (size_t i = 0; i < state_.size(); ++i) {
    if (i > 0 && state_[i].tensor != state_[i - 1].tensor) sum = 0;
    sum += std::min(state_[i].bytes, static_cast<size_t>(kPieceBlocks) * state_[i].bytes_per_block);
    most = std::max(most, sum);
  }
  return std::min(most, bytes_);
}

void Optimizer::release(const StateTensor& t, size_t begin, size_t size) const {
  if (options_.release_pages) memory_.release(t.offset + begin, size);
}

}  // namespace lorikeet
