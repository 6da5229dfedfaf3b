#pragma once
// Completes batches of prompts with a key/value cache.
#include <functional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "generate/sampler.h"
#include "model/model.h"

namespace lorikeet {

struct GenerateOptions {
  int64_t max_new_tokens = 128;
  SamplingOptions sampling;
  std::vector<int32_t> stop_ids;  ///< any of these ends a completion
};

struct Group;

enum class FinishReason : uint8_t { stop, length, cancelled };
constexpr const char* name_of(FinishReason r) {
  constexpr const char* names[] = {"stop", "length", "cancelled"};
  return names[static_cast<int>(r)];
}

struct Completion {
  std::vector<int32_t> ids;  ///< the new tokens, the stop token included
  FinishReason finish_reason = FinishReason::length;
  int64_t prompt_tokens = 0;
};

enum class AfterToken : uint8_t { go_on, end_row, end_run };

/// Called on the caller's thread for each new token (row is the prompt's index). What it ends unfinished is
/// `cancelled`.
using TokenCallback = std::function<AfterToken(size_t row, int32_t id)>;

/// Goals: memory known before it is taken; prompts of any lengths together without padding, what they all
/// begin with computed once; a row's draws depend on its own index and positions only, and what it computes
/// not on the rows beside it. A lone prompt over a quantized base may differ from the same among others by
/// the rounding of weights. Non-goals: serving requests as they arrive, beam search.
class Generator {
 public:
  /// `memory_budget` bounds cache, activations and logits together, in bytes; rows that do not fit at once
  /// run in groups. Model and threads must outlive the generator.
  Generator(const Model& model, ThreadPool& threads, size_t memory_budget, Device device = Device::cpu);

  /// Completes each prompt; results are in the order of the prompts.
  ///
  /// Throws Error(usage) for an empty prompt, an id outside the vocabulary, or prompt + max_new_tokens beyond
  /// the positions that the model or its rope table has, or across the one where longrope changes all earlier
  /// keys; Error(resource) if a single row does not fit the budget.
  std::vector<Completion> run(std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options,
                              const TokenCallback& on_token = {});

  /// Bytes that these prompts need as one group.
  size_t bytes_for(std::span<const std::vector<int32_t>> prompts, int64_t max_new_tokens) const;

  /// Most bytes that run() has held so far.
  size_t peak_bytes() const { return peak_bytes_; }

 private:
  bool may_share() const { return !model_.spec.rope.by_length(); }
  /// Indices of prompts that run together, prompts of like length in one group.
  std::vector<std::vector<size_t>> make_groups(std::span<const std::vector<int32_t>> prompts,
                                               int64_t max_new_tokens) const;
  size_t group_bytes(const Group& group) const;
  /// False if the callback ended the run.
  bool run_group(std::span<const size_t> members, std::span<const std::vector<int32_t>> prompts,
                 const GenerateOptions& options, const TokenCallback& on_token,
                 std::vector<Completion>& completions);
  void check(std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options) const;

  const Model& model_;
  ThreadPool& threads_;
  size_t budget_;
  Device device_;
  size_t peak_bytes_ = 0;
};

/// Positions that the key/value cache of one row needs: the last new token is never fed back.
constexpr int64_t cache_positions(int64_t prompt_length, int64_t max_new_tokens) {
  return prompt_length + max_new_tokens - 1;
}

}  // namespace lorikeet
