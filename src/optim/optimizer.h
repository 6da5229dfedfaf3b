#pragma once
// Optimizers: what each keeps per tensor, and its step.
//
// Goals: state whose bytes are known before it exists and that a checkpoint can hold; steps whose bits depend
// on neither threads nor pieces. Non-goals: parameter groups beyond "norms and biases do not decay".
#include <memory>
#include <string>
#include <vector>

#include "backend/args.h"
#include "io/safetensors_type.h"
#include "lora/trainable_store.h"
#include "lorikeet/config.h"

namespace lorikeet {

struct OptimizerOptions {
  Optim optim = Optim::adamw;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  uint64_t seed = 42;          ///< of stochastic rounding
  std::string page_folder;     ///< paged optimizers: where the file of their state lies
  bool release_pages = false;  ///< paged: pages are handed back after each use, so that they never add up
};

/// A piece of an optimizer's state as checkpoints name it: the part of one tensor, in the tensor's order.
struct StateTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::f32;
  std::vector<int64_t> shape;
  size_t tensor = 0;             ///< index into the store's tensors
  size_t offset = 0, bytes = 0;  ///< in the optimizer's memory
  size_t bytes_per_block = 0;    ///< of kUpdateBlock elements
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Step t >= 1 of every tensor with gradient * `grad_scale` and rate `learning_rate` times its parameter's
  /// rate_factor, then refreshes the compute copies.
  void step(const Stream& stream, double learning_rate, double grad_scale, int64_t t);

  /// All that a checkpoint must hold, zero before the first step.
  const std::vector<StateTensor>& state() const { return state_; }
  std::byte* data(const StateTensor& t) const { return memory_.at(t.offset); }
  size_t state_bytes() const { return bytes_; }
  /// The most bytes of state that are in use at once where pages are released.
  size_t piece_bytes() const;
  /// To be called when the bytes [begin, begin + size) of `t` are done with; bytes beyond kReleaseBytes
  /// should not be in use together.
  void release(const StateTensor& t, size_t begin, size_t size) const;
  static constexpr size_t kReleaseBytes = size_t{4} << 20;

 protected:
  /// `store` must outlive the optimizer and be allocated with gradients.
  Optimizer(TrainableStore& store, OptimizerOptions options);

  /// One step of the elements in `blocks` of one tensor; `index` counts the store's tensors.
  virtual void update(size_t index, const Stream& stream, const AdamWSettings& settings,
                      BlockRange blocks) = 0;

  /// Notes a part of the tensor's state: an element of `type` for each of its own, or one f32 for each block.
  /// Returns its index in state().
  size_t declare(size_t tensor, const char* prefix, SafetensorsType type);
  size_t declare_scales(size_t tensor, const char* prefix);
  /// Makes the memory of all that was declared. Throws Error(resource).
  void allocate(bool dry);

  TrainableStore& store() const { return store_; }
  const NamedTensor& tensor(size_t index) const { return store_.tensors()[index]; }
  int64_t elements(size_t index) const { return tensor(index).rows * tensor(index).cols; }
  StochasticRounding rounding(size_t index, int64_t t) const;
  /// f32 state as a vector; raw state by its first byte.
  TensorView vector(size_t state_index) const;
  std::byte* raw(size_t state_index) const { return data(state_[state_index]); }

 private:
  size_t declare(size_t tensor, const char* prefix, SafetensorsType type, std::vector<int64_t> shape,
                 size_t bytes_per_block);

  TrainableStore& store_;
  OptimizerOptions options_;
  std::vector<StateTensor> state_;
  std::vector<uint64_t> rounding_streams_;  // by tensor
  Buffer memory_;
  size_t bytes_ = 0;
};

/// The optimizer that `options` name, with its state. `dry`: sizes only. Throws Error(resource).
std::unique_ptr<Optimizer> make_optimizer(TrainableStore& store, const OptimizerOptions& options, bool dry);

/// True if its state may lie in a file.
bool is_paged(Optim optim);
/// The optimizer with the same state and steps that is not paged.
Optim unpaged(Optim optim);

}  // namespace lorikeet
