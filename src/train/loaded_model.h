#pragma once
// From a path to a model that runs: the one place where files, weights, adapters and slots come together, for
// training, evaluation, generation, merging, planning and debugging alike.
#include <memory>
#include <optional>
#include <string>

#include "core/thread_pool.h"
#include "model/decoder.h"
#include "model/files.h"
#include "model/loader.h"
#include "optim/optimizer.h"
#include "peft/adapter_files.h"

namespace lorikeet {

/// How to bring a model up.
struct LoadRequest {
  Method method = Method::lora;
  BaseFormat base_format = BaseFormat::automatic;
  Bnb4Options bnb;
  ComputeDtype compute_dtype = ComputeDtype::automatic;
  int threads = 0;                            ///< 0: every CPU this process may use
  int64_t positions = 0;                      ///< the longest row that will run
  bool train = false;                         ///< gradients too
  std::optional<OptimizerOptions> optimizer;  ///< with its state
  bool bf16_weights = false;                  ///< method full: no f32 masters
  std::optional<std::string> adapter;         ///< PEFT folder: its configuration and tensors
  std::optional<AdapterConfig> new_adapter;   ///< or: fresh factors by these settings (method lora, qlora)
  LoraInit init = LoraInit::standard;         ///< of fresh factors
  uint64_t seed = 42;                         ///< of fresh factors
  double neftune_noise_alpha = 0;             ///< of the noise on embeddings in training
};

/// The request that the keys of a run mean; fresh adapter settings from the lora_* keys if no adapter is
/// named.
LoadRequest load_request(const RunConfig& config);

/// `automatic` resolved: lora and full take dense; qlora takes keep where the file is quantized, else
/// bnb_4bit.
BaseFormat resolve_base_format(Method method, BaseFormat asked, bool file_is_quantized);
/// `automatic` resolved: bfloat16 where the machine multiplies it natively, else float32.
DType resolve_compute_dtype(ComputeDtype asked);

/// Everything of one model in memory. Not movable: slots point into the stores.
class LoadedModel {
 public:
  /// Loads the weights (dry: sizes only), builds the model and fills the adapter. `files` must outlive it.
  /// Throws what ModelFiles, WeightStore, select_targets and load_adapter throw.
  LoadedModel(const ModelFiles& files, const LoadRequest& request, bool dry = false);
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  /// Puts the adapter in `folder` in the place of the present one, on the weights that are loaded already;
  /// model() stays where it is. Not with gradients or an optimizer (internal error).
  ///
  /// Throws as the constructor, and Error(unsupported) where the old or the new adapter changes rows of the
  /// base itself (trainable_token_indices); the present adapter then stays.
  void use_adapter(const std::string& folder);

  const ModelFiles& files() const { return files_; }
  const Model& model() const { return model_; }
  TrainableStore& trainable() { return *trainable_; }
  const TrainableStore& trainable() const { return *trainable_; }
  /// Only with LoadRequest::optimizer.
  Optimizer& optimizer() const { return *optimizer_; }
  WeightStore& weights() { return weights_; }
  ThreadPool& threads() { return threads_; }
  BaseFormat base_format() const { return base_format_; }
  DType compute() const { return model_.compute; }
  /// The adapter's settings; empty for method full and for the bare base.
  const std::optional<AdapterConfig>& adapter() const { return adapter_; }

  /// Resident bytes of weights (with rope tables), of the adapter with gradients, and of the optimizer.
  uint64_t weights_bytes() const;
  uint64_t adapter_bytes() const { return trainable_->value_bytes(); }
  uint64_t optimizer_bytes() const { return optimizer_ ? optimizer_->state_bytes() : 0; }

  /// For ops outside a step, or with `arena` for a step.
  Stream stream(Arena* arena = nullptr) { return {Device::cpu, &threads_, arena}; }

 private:
  /// With the values of `folder`, else as an adapter starts.
  Model build(const std::optional<AdapterConfig>& adapter, const std::optional<std::string>& folder,
              TrainableStore& trainable, bool dry);

  const ModelFiles& files_;
  LoadRequest request_;
  BaseFormat base_format_;
  ThreadPool threads_;
  WeightStore weights_;
  std::unique_ptr<TrainableStore> trainable_;
  std::optional<AdapterConfig> adapter_;
  Model model_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace lorikeet
