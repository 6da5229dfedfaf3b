// lorikeet eval: loss, perplexity, token accuracy and, on request, exact match.
#include <algorithm>
#include <array>
#include <cmath>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "train/evaluate.h"
#include "train/exact_match.h"
#include "train/memory_plan.h"
#include "train/run_data.h"
#include "train/use.h"

namespace lorikeet::cli {
namespace {

constexpr int64_t kBatchRows = 32, kBatchTokens = 2048;

struct EvalOptions {
  bool exact_match = false;
  int64_t max_new_tokens = 128;
};

std::span<const Key<EvalOptions>> table() {
  using O = EvalOptions;
  static const std::array rows{
      key<&O::exact_match>(
          "exact_match", "evaluation",
          "complete each row greedily and compare with its last assistant turn or completion"),
      key<&O::max_new_tokens>("max_new_tokens", "evaluation", "longest completion in tokens")
          .range(1, 1 << 24),
  };
  return rows;
}

EvalTotals totals_of(LoadedModel& loaded, const std::vector<Sample>& samples) {
  const auto batches = evaluation_batches(samples, kBatchRows, kBatchTokens);
  uint64_t bytes = 0;
  for (const std::vector<int32_t>& lengths : largest_row_lengths(samples, batches))
    bytes = std::max(bytes, evaluation_bytes(loaded.model(), Device::cpu, loaded.threads(), lengths).total());
  Arena arena(bytes);
  Decoder decoder(loaded.model(), loaded.stream(&arena));
  MicroBatchStorage storage;
  return evaluate_rows(decoder, samples, batches, storage);
}

struct Evaluation {
  EvalTotals totals;
  std::optional<ExactMatch> match;
};

/// `adapter` is named where several take turns.
void print(const Evaluation& e, const Dataset& data, const std::string& adapter, bool json) {
  const EvalTotals& t = e.totals;
  const double perplexity = std::exp(t.loss());
  if (json) {
    Json result = Json::object();
    if (!adapter.empty()) result["adapter"] = adapter;
    result["loss"] = t.loss();
    result["perplexity"] = perplexity;
    result["token_accuracy"] = t.accuracy();
    result["target_tokens"] = t.targets;
    result["examples"] = t.examples;
    if (e.match) {
      result["exact_match"] = e.match->share();
      result["exact_matches"] = e.match->matched;
    }
    result["rows_cut"] = data.rows_cut;
    result["rows_dropped"] = data.rows_dropped;
    out().json(result);
  } else {
    if (!adapter.empty()) out().line(fmt::format("adapter         {}", adapter));
    out().line(fmt::format("rows            {} ({}), {} cut, {} dropped", with_commas(t.examples),
                           data.format_name, with_commas(data.rows_cut), with_commas(data.rows_dropped)));
    out().line(fmt::format("loss            {:.6g}", t.loss()));
    out().line(fmt::format("perplexity      {:.6g}", perplexity));
    out().line(fmt::format("token accuracy  {:.2f} % of {} target tokens", 100 * t.accuracy(),
                           with_commas(t.targets)));
    if (e.match)
      out().line(fmt::format("exact match     {:.1f} % ({} of {})", 100 * e.match->share(),
                             with_commas(e.match->matched), with_commas(e.match->examples)));
  }
  out().flush();
}

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  CommandLine line(
      "eval", "eval --model M [--adapter A ...] --data F [--exact-match] [--json]",
      "Measures a model, with or without an adapter, on a data set; several adapters one after the "
      "other.");
  RunConfig config;
  AdapterList adapters;
  EvalOptions own;
  line.options.add_run_keys(config, {"data"});
  line.options.add(own, table());
  add_use_keys(line.options, config, &adapters);
  add_row_keys(line.options, config);
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.data, "--data", "eval");
  check_use(config, "eval", adapters);

  const std::vector<RunConfig> turns = configs_for_use(config, adapters.adapter);
  const RunConfig& used = turns.front();
  std::optional<TextGenerator> generator;  // exact match completes rows too
  if (own.exact_match) generator.emplace(used);
  const ModelFiles files = ModelFiles::open(used.model);
  for (const RunConfig& turn : turns) check_fingerprint(turn, files);
  const std::optional<Tokenizer> tokenizer = tokenizer_if_any(files);
  std::optional<ChatTemplate> chat;
  if (tokenizer) chat = select_chat_template(used.chat_template, *tokenizer);
  const Tokenizer* t = tokenizer ? &*tokenizer : nullptr;
  const ChatTemplate* c = chat ? &*chat : nullptr;
  ThreadPool threads(static_cast<int>(used.threads.value_or(ThreadPool::available_cpus())));
  const DatasetOptions options = dataset_options(used, files);
  const Dataset data = load_dataset(used.data, options, t, c, threads);
  expect_positions(data, files);
  std::vector<CompletionCase> cases;
  if (own.exact_match) cases = load_completion_cases(used.data, options, t, c, threads);

  std::optional<LoadedModel> alone;
  if (!generator) {
    LoadRequest request = load_request(used);
    request.new_adapter.reset();
    request.positions = data.longest;
    alone.emplace(files, request);
  }
  for (size_t i = 0; i < turns.size(); ++i) {
    if (i > 0 && generator) generator->state().use_adapter(turns[i]);
    if (i > 0 && alone) alone->use_adapter(*turns[i].adapter);
    Evaluation e{totals_of(generator ? generator->state().loaded : *alone, data.samples), {}};
    if (generator) e.match = exact_match(generator->state(), cases, own.max_new_tokens);
    print(e, data, turns.size() > 1 ? *turns[i].adapter : std::string(), line.common.json);
  }
  return 0;
}

}  // namespace lorikeet::cli
