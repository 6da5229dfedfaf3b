#include "lorikeet/trainer.h"

#include "core/error.h"
#include "train/training_run.h"

namespace lorikeet {

struct Trainer::State {
  explicit State(RunConfig config) : setup(std::move(config)) {}
  RunSetup setup;
};

Trainer::Trainer(RunConfig config) : state_(std::make_unique<State>(std::move(config))) {}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

const RunFacts& Trainer::facts() const { return state_->setup.facts; }
const RunConfig& Trainer::config() const { return state_->setup.config; }

RunResult Trainer::run(const TrainerEvents& events, const std::atomic<bool>* stop) {
  RunSetup& setup = state_->setup;
  const RunConfig& config = setup.config;
  if (config.output.empty())
    throw Error(ErrorKind::usage, "output is not set", "output", "say --output <folder>");
  const StartPoint start = find_start(config, setup.facts.total_steps);
  if (start.complete) {
    RunResult r;
    r.outcome = RunOutcome::already_complete;
    r.output = config.output;
    r.steps = setup.facts.total_steps;
    return r;
  }
  setup.require_memory();
  const RunLock lock(config.output);
  clear_output(config.output, config.overwrite && !config.resume_from_checkpoint);
  write_run_yaml(config);
  if (events.notice)
    for (const std::string& damaged : start.damaged) events.notice("passed over " + damaged);
  return TrainingRun(setup, events, stop, start).run();
}

}  // namespace lorikeet
