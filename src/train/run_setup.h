#pragma once
// A run before its first step: everything opened, checked, tokenized and planned; nothing written.
#include <vector>

#include "data/loader.h"
#include "lorikeet/trainer.h"
#include "optim/schedule.h"
#include "text/chat_template.h"
#include "train/checkpoint.h"
#include "train/loaded_model.h"
#include "train/run_data.h"

namespace lorikeet {

class RunSetup {
 public:
  /// As Trainer's constructor.
  explicit RunSetup(RunConfig config);
  RunSetup(const RunSetup&) = delete;
  RunSetup& operator=(const RunSetup&) = delete;

  RunConfig config;  ///< resolved
  ModelFiles files;
  std::optional<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;
  RunData data;
  std::optional<Loader> loader;
  std::vector<std::vector<uint32_t>> eval_batches;
  LoadRequest request;
  RunFacts facts;
  std::string base_fingerprint;
  size_t arena_bytes = 0;  ///< of a step or an evaluation

  Schedule schedule() const;
  LoaderOptions loader_options(bool packing) const;
  /// What a checkpoint must agree with.
  RunIdentity identity() const;
  /// Throws Error(resource) if the plan exceeds the limit, with what would fit.
  void require_memory() const;

 private:
  void take_adapter_settings();
  void resolve();
  void load_data();
  void check_cut() const;
  void count_steps();
  void plan();
  int64_t choose_kept_blocks(const LoadedModel& dry, const std::vector<std::vector<int32_t>>& shapes,
                             ThreadPool& threads, int64_t held) const;
};

}  // namespace lorikeet
