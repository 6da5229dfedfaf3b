#include "train/comparison.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "train/exact_match.h"
#include "train/run_data.h"
#include "train/text_generator.h"

namespace lorikeet {

namespace {

std::string base_text(const RunConfig& c) {
  if (c.base_format == BaseFormat::dense) return std::string(name_of(c.compute_dtype));
  if (c.base_format == BaseFormat::keep) return "as stored";
  return fmt::format("{}{}", name_of(c.bnb_4bit_quant_type), c.bnb_4bit_use_double_quant ? " + dq" : "");
}

/// The configuration under which the result of a run completes text.
RunConfig config_of_result(const RunConfig& trained) {
  RunConfig c = trained;
  if (c.method == Method::full)
    c.model = c.output;
  else
    c.adapter = c.output;
  c.bf16_stochastic_round = false;
  c.recorded.clear();  // a fully trained model is another base
  return c;
}

/// Exact match on the held-out rows; nothing where the data has no turns or completions to compare.
std::optional<double> exact_match_of(const RunConfig& trained, int64_t max_new_tokens) {
  const TextGenerator generator(config_of_result(trained));
  TextGenerator::State& state = generator.state();
  const ChatTemplate* chat = state.chat_template ? &*state.chat_template : nullptr;
  ThreadPool& threads = state.loaded.threads();
  const DatasetOptions options = dataset_options(trained, state.files);
  std::vector<CompletionCase> cases;
  try {
    cases = load_completion_cases(trained.eval_split ? trained.data : trained.eval_data, options,
                                  &state.tokenizer, chat, threads);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::usage) throw;
    return std::nullopt;
  }
  if (trained.eval_split) {
    const RunData data = load_run_data(trained, state.files, &state.tokenizer, chat, threads);
    std::vector<CompletionCase> held_out;
    for (const Sample& s : data.eval->samples) held_out.push_back(cases[static_cast<size_t>(s.row_id)]);
    cases = std::move(held_out);
  }
  return exact_match(state, cases, max_new_tokens).share();
}

template <class F>
Spread spread(std::span<const ComparedRun* const> runs, const F& value) {
  Spread s;
  for (const ComparedRun* run : runs) s.mean += value(*run) / static_cast<double>(runs.size());
  for (const ComparedRun* run : runs) s.deviation += (value(*run) - s.mean) * (value(*run) - s.mean);
  s.deviation = runs.size() > 1 ? std::sqrt(s.deviation / static_cast<double>(runs.size() - 1)) : 0;
  return s;
}

ComparedMethod summarise_method(std::span<const ComparedRun* const> runs) {
  ComparedMethod m;
  m.first = *runs.front();
  m.seeds = runs.size();
  for (const ComparedRun* run : runs)
    if (!run->refused.empty()) m.first = *run;  // what one seed cannot do is not recommended
  if (!m.first.refused.empty()) return m;
  for (const ComparedRun* run : runs) m.peak_bytes = std::max(m.peak_bytes, run->peak_bytes);
  m.tokens_per_second = spread(runs, [](const ComparedRun& r) { return r.tokens_per_second; });
  m.eval_loss = spread(runs, [](const ComparedRun& r) { return r.eval_loss; });
  if (std::all_of(runs.begin(), runs.end(), [](const ComparedRun* r) { return r->exact_match.has_value(); }))
    m.exact_match = spread(runs, [](const ComparedRun& r) { return *r.exact_match; });
  return m;
}

/// Whether the eval losses of two methods cannot be told apart.
bool as_good(const ComparedMethod& a, const ComparedMethod& b) {
  constexpr double kLeastDifference = 0.01;
  const double pooled = std::sqrt(
      (a.eval_loss.deviation * a.eval_loss.deviation + b.eval_loss.deviation * b.eval_loss.deviation) / 2);
  return std::abs(a.eval_loss.mean - b.eval_loss.mean) <= std::max(2 * pooled, kLeastDifference);
}

std::string gib(int64_t bytes) { return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / 0x1p30); }

}  // namespace

Json to_json(const ComparedRun& r) {
  Json json{{"method", name_of(r.method)},
            {"seed", r.seed},
            {"base", r.base},
            {"planned_peak_bytes", r.planned_bytes},
            {"limit_bytes", r.limit_bytes}};
  if (!r.refused.empty()) {
    json["refused"] = r.refused;
    return json;
  }
  json["peak_bytes"] = r.peak_bytes;
  json["tokens_per_second"] = r.tokens_per_second;
  json["trainable_parameters"] = r.trainable;
  json["result_file_bytes"] = r.result_bytes;
  json["eval_loss"] = r.eval_loss;
  if (r.exact_match) json["exact_match"] = *r.exact_match;
  return json;
}

ComparedRun parse_compared_run(const Json& json, const std::string& where) {
  const auto member = [&](const char* key) -> const Json& {
    if (!json.is_object() || !json.contains(key))
      throw Error(ErrorKind::format, fmt::format("\"{}\" is missing", key), where);
    return json[key];
  };
  const auto integer = [&](const char* key) { return json_int(member(key), where); };
  const auto number = [&](const char* key) { return json_number(member(key), where); };
  ComparedRun r;
  const std::string method = json_string(member("method"), where);
  for (const Method m : {Method::lora, Method::qlora, Method::full})
    if (method == name_of(m)) r.method = m;
  r.seed = static_cast<uint64_t>(integer("seed"));
  r.base = json_string(member("base"), where);
  r.planned_bytes = integer("planned_peak_bytes");
  r.limit_bytes = integer("limit_bytes");
  if (json.contains("refused")) {
    r.refused = json_string(json["refused"], where);
    return r;
  }
  r.peak_bytes = integer("peak_bytes");
  r.tokens_per_second = number("tokens_per_second");
  r.trainable = integer("trainable_parameters");
  r.result_bytes = integer("result_file_bytes");
  r.eval_loss = number("eval_loss");
  if (json.contains("exact_match")) r.exact_match = number("exact_match");
  return r;
}

ComparedRun run_compared(const RunConfig& config, int64_t max_new_tokens, const TrainerEvents& events,
                         const std::atomic<bool>* stop) {
  ComparedRun run;
  run.method = config.method;
  run.seed = config.seed;
  Trainer trainer(config);
  const RunFacts& facts = trainer.facts();
  run.base = base_text(trainer.config());
  run.planned_bytes = facts.memory.peak_bytes;
  run.limit_bytes = facts.memory.limit_bytes;
  RunResult result;
  try {
    result = trainer.run(events, stop);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::resource || facts.memory.peak_bytes <= facts.memory.limit_bytes) throw;
    run.refused = e.message();
    return run;
  }
  if (result.outcome == RunOutcome::interrupted)
    throw Error(ErrorKind::interrupted, fmt::format("stopped after step {}", result.steps), result.output);
  run.peak_bytes = result.peak_bytes;
  run.tokens_per_second = result.step_tokens_per_second;
  run.trainable = facts.trainable;
  run.result_bytes = result.adapter_file_bytes;
  run.eval_loss = result.eval_loss.value_or(0);
  if (max_new_tokens > 0) run.exact_match = exact_match_of(trainer.config(), max_new_tokens);
  return run;
}

std::vector<ComparedMethod> summarise(std::span<const ComparedRun> runs) {
  std::vector<std::pair<Method, std::vector<const ComparedRun*>>> groups;
  for (const ComparedRun& run : runs) {
    auto group =
        std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == run.method; });
    if (group == groups.end()) group = groups.insert(groups.end(), {run.method, {}});
    group->second.push_back(&run);
  }
  std::vector<ComparedMethod> methods;
  for (const auto& group : groups) methods.push_back(summarise_method(group.second));
  return methods;
}

std::string recommendation(std::span<const ComparedMethod> methods) {
  const ComparedMethod* best = nullptr;
  const ComparedMethod* smallest = nullptr;
  for (const ComparedMethod& m : methods) {
    if (!m.first.refused.empty()) continue;
    if (!best || m.eval_loss.mean < best->eval_loss.mean) best = &m;
    if (!smallest || m.peak_bytes < smallest->peak_bytes) smallest = &m;
  }
  if (!best) return "None of these methods fits this machine's memory.";
  const ComparedMethod* choice = best;
  for (const ComparedMethod& m : methods)
    if (m.first.refused.empty() && as_good(m, *best) &&
        m.tokens_per_second.mean > choice->tokens_per_second.mean)
      choice = &m;
  std::string text = fmt::format(
      "For this machine, model and data: {} ({} of {}), {}", name_of(choice->first.method),
      gib(choice->peak_bytes), gib(choice->first.limit_bytes),
      choice == best ? "which has the lowest eval loss"
                     : fmt::format("the fastest of those whose eval loss cannot be told from {}'s",
                                   name_of(best->first.method)));
  if (smallest != choice)
    text += fmt::format("; take {} where memory must stay below {}", name_of(smallest->first.method),
                        gib(choice->peak_bytes));
  return text + ".";
}

}  // namespace lorikeet
