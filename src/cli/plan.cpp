// lorikeet plan: what a run will need, before anything is allocated.
#include <cmath>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/text_format.h"
#include "core/error.h"
#include "lorikeet/trainer.h"

namespace lorikeet::cli {
namespace {

Json as_json(const MemoryPlan& m) {
  Json choices = Json::array();
  for (const MemoryPlan::Choice& choice : m.choices)
    choices.push_back({{"kept_blocks", choice.kept_blocks},
                       {"peak_bytes", choice.peak_bytes},
                       {"tokens_per_second", choice.tokens_per_second}});
  return Json{{"peak_bytes", m.peak_bytes},
              {"weights_bytes", m.weights_bytes},
              {"adapter_bytes", m.adapter_bytes},
              {"optimizer_bytes", m.optimizer_bytes},
              {"released_bytes", m.released_bytes},
              {"activation_bytes", m.activation_bytes},
              {"workspace_bytes", m.workspace_bytes},
              {"process_bytes", m.process_bytes},
              {"limit_bytes", m.limit_bytes},
              {"kept_blocks", m.kept_blocks},
              {"blocks", m.blocks},
              {"tokens_per_second", m.tokens_per_second},
              {"choices", choices}};
}

std::string speed(double tokens_per_second) {
  return tokens_per_second > 0 ? with_commas(std::llround(tokens_per_second)) : "?";
}

void print(const RunFacts& f, const RunConfig& c) {
  const MemoryPlan& m = f.memory;
  const auto gib = [](int64_t bytes) { return gib_number(static_cast<uint64_t>(bytes)); };
  const bool full = c.method == Method::full;
  std::vector<std::vector<std::string>> rows{
      {"", "GiB", ""},
      {fmt::format("base ({})", f.base_format), gib(m.weights_bytes),
       fmt::format("{} parameters, {:.2f} bits a weight in linear layers", in_millions(f.parameters),
                   f.base_bits_per_weight)},
      {full ? "trained weights, gradients" : "adapter, gradients", gib(m.adapter_bytes),
       full ? fmt::format("{} trainable", in_millions(f.trainable))
            : fmt::format("{} trainable in {} layers", in_millions(f.trainable),
                          with_commas(f.adapted_modules))},
      {"optimizer", gib(m.optimizer_bytes), std::string(name_of(c.optim))},
      {"activations", gib(m.activation_bytes),
       fmt::format("{} {} of {} tokens together, {} of {} blocks kept", m.largest_rows,
                   c.packing ? "sequences" : "rows", with_commas(m.largest_tokens), m.kept_blocks, m.blocks)},
      {"workspace", gib(m.workspace_bytes), "scratch of a step"},
      {"process allowance", gib(m.process_bytes), ""},
      {"peak", gib(m.peak_bytes),
       fmt::format("of {}{}: {}", gib(m.limit_bytes), c.memory_limit ? " (memory_limit)" : " free",
                   m.peak_bytes <= m.limit_bytes ? "fits" : "does not fit")}};
  if (m.released_bytes > 0)
    rows.insert(rows.end() - 1, {"paged out", "-" + gib(m.released_bytes),
                                 "optimizer state that goes back to its file after each use"});
  out().write(table_text(rows, "lrl"));
  if (m.choices.empty()) return;
  std::vector<std::vector<std::string>> choices{{" kept blocks", "peak GiB", "tokens/s (estimate)"}};
  for (const MemoryPlan::Choice& choice : m.choices)
    choices.push_back(
        {fmt::format(" {}", choice.kept_blocks), gib(choice.peak_bytes), speed(choice.tokens_per_second)});
  out().write("\n" + table_text(choices, "lrr"));
}

}  // namespace

int run_plan(const std::vector<std::string>& arguments) {
  CommandLine line("plan", "plan --model M --data F [the options of finetune] [--json]",
                   "Says what a run will need; allocates and writes nothing.");
  RunConfig config;
  line.options.add_run_keys(config);
  if (!line.read(arguments, &config)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "plan");
  require(config.data, "--data", "plan");
  const Trainer trainer(config);
  if (line.common.json) {
    out().json(as_json(trainer.facts().memory));
  } else {
    print(trainer.facts(), trainer.config());
  }
  return 0;
}

}  // namespace lorikeet::cli
