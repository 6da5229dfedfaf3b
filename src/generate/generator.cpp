#include "generate/generator.h"

#include <algorithm>
#include <numeric>

#include "generate/group.h"

namespace lorikeet {

namespace {

/// More rows than this add memory but hardly any speed: the matrix kernels are full.
constexpr size_t kMaxRows = 128;

/// Chooses the next token of each scored row and hands it out; false if the callback ends the run.
class Chooser {
 public:
  Chooser(const GenerateOptions& options, const TokenCallback& on_token, ThreadPool& threads,
          std::vector<Completion>& completions)
      : options_(options),
        on_token_(on_token),
        threads_(threads),
        completions_(completions),
        scratch_(static_cast<size_t>(threads.size())) {}

  bool choose(TensorView logits, std::span<const size_t> scored, std::vector<LiveRow>& rows) {
    chosen_.assign(scored.size(), 0);
    threads_.for_each(static_cast<int64_t>(scored.size()), [&](int64_t i, int thread) {
      const LiveRow& row = rows[scored[static_cast<size_t>(i)]];
      chosen_[static_cast<size_t>(i)] =
          sample({logits.row<float>(i), static_cast<size_t>(logits.cols)}, options_.sampling, row.prompt,
                 row.ids.size(), scratch_[static_cast<size_t>(thread)]);
    });
    for (size_t i = 0; i < scored.size(); ++i)
      if (!accept(rows[scored[i]], chosen_[i])) return false;
    return true;
  }

 private:
  bool accept(LiveRow& row, int32_t id) {
    Completion& c = completions_[row.prompt];
    row.ids.push_back(id);
    c.ids.push_back(id);
    const bool stops =
        std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) != options_.stop_ids.end();
    if (stops || static_cast<int64_t>(row.ids.size()) >= row.limit) {
      row.live = false;
      c.finish_reason = stops ? FinishReason::stop : FinishReason::length;
    }
    if (!on_token_) return true;
    const AfterToken next = on_token_(row.prompt, id);
    if (next == AfterToken::end_row) row.live = false;
    return next != AfterToken::end_run;
  }

  const GenerateOptions& options_;
  const TokenCallback& on_token_;
  ThreadPool& threads_;
  std::vector<Completion>& completions_;
  std::vector<std::vector<int32_t>> scratch_;
  std::vector<int32_t> chosen_;
};

}  // namespace

Generator::Generator(const Model& model, ThreadPool& threads, size_t memory_budget, Device device)
    : model_(model), threads_(threads), budget_(memory_budget), device_(device) {
  LORIKEET_CHECK(stat_dtype(model.compute) == DType::f32);
}

std::vector<Completion> Generator::run(std::span<const std::vector<int32_t>> prompts,
                                       const GenerateOptions& options, const TokenCallback& on_token) {
  check(prompts, options);
  std::vector<Completion> completions(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    completions[i].prompt_tokens = static_cast<int64_t>(prompts[i].size());
    completions[i].finish_reason = FinishReason::cancelled;  // until it ends otherwise
  }
  for (const std::vector<size_t>& members : make_groups(prompts, options.max_new_tokens))
    if (!run_group(members, prompts, options, on_token, completions)) break;
  return completions;
}

void Generator::check(std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options) const {
  validate(options.sampling);
  if (options.max_new_tokens < 1)
    throw Error(ErrorKind::usage,
                fmt::format("max_new_tokens is {}, it must be 1 or more", options.max_new_tokens));
  const int64_t positions = std::min(model_.spec.max_position_embeddings, model_.positions);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string where = fmt::format("prompt {}", i + 1);
    const auto length = static_cast<int64_t>(prompts[i].size());
    if (length == 0)
      throw Error(ErrorKind::usage, "the prompt has no tokens", where,
                  "give at least one character, or a model that puts BOS in front");
    if (options.max_new_tokens > positions || length > positions - options.max_new_tokens)
      throw Error(ErrorKind::usage,
                  fmt::format("{} prompt tokens and {} new ones are more than the model's {} positions",
                              length, options.max_new_tokens, positions),
                  where,
                  fmt::format("shorten the prompt, or --max-new-tokens {}",
                              std::max<int64_t>(1, positions - length)));
    const RopeSpec& rope = model_.spec.rope;
    const int64_t turn = rope.original_max_position_embeddings;
    if (rope.scaling == RopeScaling::longrope && length <= turn && length + options.max_new_tokens - 1 > turn)
      throw Error(ErrorKind::usage,
                  fmt::format("{} prompt tokens and {} new ones cross position {}, where the model's rotary "
                              "embedding changes",
                              length, options.max_new_tokens, turn),
                  where, fmt::format("--max-new-tokens {}", turn + 1 - length));
    for (const int32_t id : prompts[i])
      if (id < 0 || id >= model_.spec.vocab_size)
        throw Error(
            ErrorKind::usage,
            fmt::format("token id {} is outside the model's vocabulary of {}", id, model_.spec.vocab_size),
            where, "the tokenizer does not belong to this model");
  }
}

size_t Generator::bytes_for(std::span<const std::vector<int32_t>> prompts, int64_t max_new_tokens) const {
  std::vector<size_t> all(prompts.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return group_bytes(Group(prompts, all, max_new_tokens, may_share()));
}

size_t Generator::group_bytes(const Group& group) const {
  return cache_bytes(model_, group.cache_rows()) + group.logits_bytes(model_) +
         plan_arena(model_, threads_, device_, group);
}

std::vector<std::vector<size_t>> Generator::make_groups(std::span<const std::vector<int32_t>> prompts,
                                                        int64_t max_new_tokens) const {
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() > prompts[b].size(); });

  std::vector<std::vector<size_t>> groups;
  for (size_t first = 0; first < order.size();) {
    const auto bytes = [&](size_t n) {
      return group_bytes(Group(prompts, std::span(order).subspan(first, n), max_new_tokens, may_share()));
    };
    size_t fits = std::min(kMaxRows, order.size() - first);
    if (bytes(fits) > budget_) {
      size_t too_many = fits;
      for (fits = 0; too_many - fits > 1;) {
        const size_t n = (fits + too_many) / 2;
        (bytes(n) <= budget_ ? fits : too_many) = n;
      }
    }
    if (fits == 0)
      throw Error(
          ErrorKind::resource,
          fmt::format("{} prompt tokens and {} new ones need {} MiB, {} MiB are free",
                      prompts[order[first]].size(), max_new_tokens, (bytes(1) >> 20) + 1, budget_ >> 20),
          fmt::format("prompt {}", order[first] + 1), "--max-new-tokens less, or a larger --memory-limit");
    groups.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(first),
                        order.begin() + static_cast<std::ptrdiff_t>(first + fits));
    first += fits;
  }
  return groups;
}

bool Generator::run_group(std::span<const size_t> members, std::span<const std::vector<int32_t>> prompts,
                          const GenerateOptions& options, const TokenCallback& on_token,
                          std::vector<Completion>& completions) {
  Group group(prompts, members, options.max_new_tokens, may_share());
  std::vector<LiveRow>& rows = group.rows;
  const size_t logits_bytes = group.logits_bytes(model_);
  Arena arena(std::max<size_t>(plan_arena(model_, threads_, device_, group), 1));
  const Buffer cache_memory(cache_bytes(model_, group.cache_rows()), "key/value cache"),
      logits_memory(logits_bytes, "logits");
  peak_bytes_ = std::max(peak_bytes_, arena.capacity() + cache_memory.size() + logits_bytes);

  const std::vector<KvCacheLayer> cache = cache_views(model_, group.cache_rows(), cache_memory);
  Decoder decoder(model_, Stream{device_, &threads_, &arena, group.lone});
  Chooser chooser(options, on_token, threads_, completions);
  Feed feed;
  const auto step = [&] {
    const TensorView logits(logits_memory.data(),
                            {static_cast<int64_t>(feed.at().size()), model_.head.vocab_size()}, DType::f32);
    decoder.logits(feed.batch(), cache, feed.cache_at(), feed.at(), logits);
    return logits;
  };
  std::vector<int64_t> counts;
  while (next_prefill(group, feed, counts)) {
    const TensorView logits = step();
    if (note_prefill(group, counts)) copy_shared(group, cache);
    if (!chooser.choose(logits, feed.scored(), rows)) return false;
  }
  for (;;) {
    feed.clear();
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i].live) feed.add(rows[i], i, 1);
    if (feed.tokens() == 0) return true;
    const TensorView logits = step();
    for (const size_t i : feed.scored()) ++rows[i].fed;
    if (!chooser.choose(logits, feed.scored(), rows)) return false;
  }
}

}  // namespace lorikeet
