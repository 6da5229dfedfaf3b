#include "train/training_run.h"

#include <cmath>

#include "core/error.h"
#include "core/system_memory.h"
#include "optim/gradient.h"
#include "optim/loraplus.h"
#include "train/evaluate.h"
#include "train/finite.h"

namespace lorikeet {

namespace {

/// The last evaluation that the log holds.
std::optional<double> last_eval_loss(const RunState& state) {
  for (auto entry = state.log_history.rbegin(); entry != state.log_history.rend(); ++entry)
    if (entry->contains("eval_loss")) return (*entry)["eval_loss"].get<double>();
  return std::nullopt;
}

}  // namespace

TrainingRun::TrainingRun(RunSetup& setup, const TrainerEvents& events, const std::atomic<bool>* stop,
                         const StartPoint& start)
    : setup_(setup),
      config_(setup.config),
      events_(events),
      stop_(stop),
      model_(setup.files, setup.request),
      arena_(setup.arena_bytes),
      stream_(model_.stream(&arena_)),
      decoder_(model_.model(), stream_),
      schedule_(setup.schedule()),
      identity_(setup.identity()),
      total_(setup.facts.total_steps) {
  if (config_.loraplus_lr_ratio)
    apply_loraplus(model_.trainable(), *config_.loraplus_lr_ratio, config_.learning_rate);
  setup_.loader->reserve(batch_, total_);
  state_.max_steps = total_;
  state_.logging_steps = config_.logging_steps;
  state_.eval_steps = config_.eval_steps;
  state_.save_steps = config_.save_steps;
  state_.train_batch_size = config_.per_device_train_batch_size;
  state_.num_train_epochs = config_.num_train_epochs;
  if (!start.checkpoint.empty()) resume(start.checkpoint);
  check_values();
  metrics_ = std::make_unique<MetricsFile>(config_.output, state_.global_step);
  if (config_.report_to == ReportTo::tensorboard)
    event_file_ = std::make_unique<EventFile>(config_.output + "/runs");
}

void TrainingRun::notice(const std::string& text) const {
  if (events_.notice) events_.notice(text);
}

void TrainingRun::resume(const std::string& checkpoint) {
  check_identity(checkpoint, identity_);
  RunState old = read_checkpoint_state(checkpoint);
  load_checkpoint_tensors(checkpoint, model_.trainable(), model_.optimizer());
  model_.trainable().update_compute(stream_);
  old.max_steps = total_;
  old.logging_steps = state_.logging_steps;
  old.eval_steps = state_.eval_steps;
  old.save_steps = state_.save_steps;
  old.num_train_epochs = state_.num_train_epochs;
  state_ = std::move(old);
  resumed_at_ = state_.global_step;
  tokens_at_start_ = state_.tokens_seen;
  seconds_before_ = state_.seconds;
  last_checkpoint_ = checkpoint;
  stopped_early_ = config_.early_stopping_patience > 0 &&
                   state_.evaluations_without_gain >= config_.early_stopping_patience;
  notice(fmt::format("resumed from {} at step {}", checkpoint, state_.global_step));
}

RunResult TrainingRun::run() {
  begin_ = Clock::now();
  bool interrupted = stopping();
  while (state_.global_step < total_ && !interrupted && !stopped_early_) {
    step();
    if (due(config_.logging_steps)) log();
    if (setup_.data.eval && due(config_.eval_steps)) evaluate();
    interrupted = stopping() && state_.global_step < total_;
    if (interrupted || stopped_early_ || due(config_.save_steps)) save();
  }
  if (!interrupted) return finish();
  RunResult r;
  r.outcome = RunOutcome::interrupted;
  r.output = config_.output;
  r.last_checkpoint = last_checkpoint_;
  r.steps = state_.global_step;
  r.resumed_at = resumed_at_;
  r.seconds = state_.seconds;
  return r;
}

void TrainingRun::step() {
  const Clock::time_point begin = Clock::now();
  const int64_t per_epoch = setup_.facts.steps_per_epoch, t = state_.global_step + 1;
  setup_.loader->load(state_.global_step / per_epoch, state_.global_step % per_epoch, batch_);
  TrainableStore& store = model_.trainable();
  store.zero_grad(stream_);
  double loss_sum = 0;
  const LossTotals totals{TensorView(&loss_sum, {1, 1}, DType::f64), nullptr, nullptr};
  const double scale = 1 / static_cast<double>(batch_.target_tokens);
  const DropoutKey dropout{true, config_.seed, static_cast<uint64_t>(t)};
  for (size_t i = 0; i < batch_.count; ++i) {
    const MicroBatch micro = batch_.micro(i);
    decoder_.forward_backward(micro, scale, setup_.facts.memory.kept_blocks, dropout, totals);
  }
  loss_ = loss_sum * scale;
  arena_.rewind_bottom(0);  // the step's tensors are done with; the optimizer's kernels take their place
  arena_.rewind_top(0);
  norm_ = gradient_norm(store, stream_);
  check_finite(loss_, norm_);
  rate_ = schedule_.rate(t);
  model_.optimizer().step(stream_, rate_, clip_factor(norm_, config_.max_grad_norm), t);

  state_.global_step = t;
  state_.epoch = static_cast<double>(t) / static_cast<double>(per_epoch);
  state_.tokens_seen += batch_.tokens;
  state_.window_loss += loss_;
  state_.total_loss += loss_;
  ++state_.window_steps;
  step_tokens_ = batch_.tokens;
  window_tokens_ += batch_.tokens;
  step_seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
  window_seconds_ += step_seconds_;
  all_step_seconds_ += step_seconds_;
  state_.seconds = seconds_before_ + session_seconds();
  if (events_.step) events_.step(report(step_seconds_));
}

std::string TrainingRun::last_good_state() const {
  return last_checkpoint_.empty() ? "" : "; the last good state is " + last_checkpoint_;
}

void TrainingRun::check_finite(double loss, double norm) {
  if (std::isfinite(loss) && std::isfinite(norm)) return;
  const int64_t t = state_.global_step + 1;
  const std::string what = !std::isfinite(loss) ? fmt::format("the loss of step {} is {}", t, loss)
                                                : fmt::format("the gradient of step {} has norm {}", t, norm);
  // The cause is looked for only now: a base weight that is no number makes the first loss none either.
  if (const std::string weight = non_finite_weight(setup_.files); !weight.empty())
    throw Error(ErrorKind::format, fmt::format("{}: the base holds {}", what, weight), setup_.files.path(),
                "fetch or write the model again");
  const std::string tensor = first_non_finite_gradient(model_.trainable());
  throw Error(ErrorKind::format, what,
              tensor.empty() ? fmt::format("rows from {} on", batch_.micro(0).row_ids[0] + 1)
                             : fmt::format("gradient of {}", tensor),
              fmt::format("lower learning_rate ({:g}), or use --compute-dtype float32{}",
                          config_.learning_rate, last_good_state()));
}

/// What is trained goes nowhere else while it holds a value that is no number.
void TrainingRun::check_values() const {
  const std::string value = non_finite_value(model_.trainable());
  if (value.empty()) return;
  if (state_.global_step == resumed_at_)
    throw Error(ErrorKind::format, fmt::format("what the run starts from holds {}", value),
                resumed_at_ > 0 ? last_checkpoint_ : config_.adapter.value_or(config_.model),
                "start from another file");
  throw Error(ErrorKind::format, fmt::format("after step {} {}", state_.global_step, value), value,
              fmt::format("lower learning_rate ({:g}){}", config_.learning_rate, last_good_state()));
}

void TrainingRun::check_files() const {
  if (setup_.files.unchanged()) return;
  throw Error(
      ErrorKind::resource,
      fmt::format("the model's files were changed during the run, by the end of step {}", state_.global_step),
      setup_.files.path(),
      "restore the model and resume with --resume-from-checkpoint auto" + last_good_state());
}

StepReport TrainingRun::report(double seconds) const {
  StepReport r;
  r.step = state_.global_step;
  r.total_steps = total_;
  r.epoch = state_.epoch;
  r.loss = loss_;
  r.grad_norm = norm_;
  r.learning_rate = rate_;
  r.tokens = state_.tokens_seen;
  r.tokens_per_second = seconds > 0 ? static_cast<double>(step_tokens_) / seconds : 0;
  r.seconds = state_.seconds;
  const auto done = static_cast<double>(state_.global_step - resumed_at_);
  r.seconds_left = session_seconds() / done * static_cast<double>(total_ - state_.global_step);
  r.peak_bytes = static_cast<int64_t>(peak_resident_bytes());
  return r;
}

void TrainingRun::log() {
  check_files();
  StepReport r = report(step_seconds_);
  r.loss = state_.window_loss / static_cast<double>(state_.window_steps);
  r.tokens_per_second = window_seconds_ > 0 ? static_cast<double>(window_tokens_) / window_seconds_ : 0;
  if (state_.global_step == state_.window_steps) state_.first_loss = r.loss;  // the run's first report
  last_logged_loss_ = r.loss;
  state_.window_loss = 0;
  state_.window_steps = 0;
  window_tokens_ = 0;
  window_seconds_ = 0;
  Json entry = Json::object();
  entry["epoch"] = r.epoch;
  entry["grad_norm"] = r.grad_norm;
  entry["learning_rate"] = r.learning_rate;
  entry["loss"] = r.loss;
  entry["step"] = r.step;
  state_.log_history.push_back(std::move(entry));
  metrics_->append(r);
  if (event_file_)
    event_file_->scalars(r.step, {{"train/loss", static_cast<float>(r.loss)},
                                  {"train/grad_norm", static_cast<float>(r.grad_norm)},
                                  {"train/learning_rate", static_cast<float>(r.learning_rate)},
                                  {"train/epoch", static_cast<float>(r.epoch)},
                                  {"train/tokens_per_second", static_cast<float>(r.tokens_per_second)}});
  if (events_.logged) events_.logged(r);
}

void TrainingRun::evaluate() {
  const Clock::time_point begin = Clock::now();
  const EvalTotals totals =
      evaluate_rows(decoder_, setup_.data.eval->samples, setup_.eval_batches, eval_storage_, stop_);
  if (totals.stopped) return;
  EvalReport r;
  r.step = state_.global_step;
  r.epoch = state_.epoch;
  r.loss = totals.loss();
  r.perplexity = std::exp(r.loss);
  r.token_accuracy = totals.accuracy();
  r.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  r.target_tokens = totals.targets;
  r.examples = totals.examples;
  state_.seconds = seconds_before_ + session_seconds();
  Json entry = Json::object();
  entry["epoch"] = r.epoch;
  entry["eval_loss"] = r.loss;
  entry["eval_runtime"] = r.seconds;
  entry["eval_samples_per_second"] = r.seconds > 0 ? static_cast<double>(r.examples) / r.seconds : 0;
  entry["eval_token_accuracy"] = r.token_accuracy;
  entry["step"] = r.step;
  state_.log_history.push_back(std::move(entry));
  if (event_file_)
    event_file_->scalars(r.step, {{"eval/loss", static_cast<float>(r.loss)},
                                  {"eval/token_accuracy", static_cast<float>(r.token_accuracy)}});
  if (events_.evaluated) events_.evaluated(r);
  note_best(r.loss);
}

void TrainingRun::note_best(double loss) {
  if (!state_.best_loss || loss < *state_.best_loss) {
    state_.best_loss = loss;
    state_.best_step = state_.global_step;
    state_.evaluations_without_gain = 0;
    if (!config_.load_best_model_at_end) return;
    state_.best_checkpoint = fmt::format("{}/checkpoint-{}", config_.output, state_.global_step);
    save();
    return;
  }
  ++state_.evaluations_without_gain;
  if (config_.early_stopping_patience == 0 ||
      state_.evaluations_without_gain < config_.early_stopping_patience)
    return;
  if (state_.global_step == total_) return;
  stopped_early_ = true;
  if (state_.window_steps > 0) log();
  notice(fmt::format("stopped at step {}: {} evaluations without a lower loss than {:.4f}",
                     state_.global_step, state_.evaluations_without_gain, *state_.best_loss));
}

void TrainingRun::save() {
  if (saved_at_ == state_.global_step) return;
  check_files();
  check_values();
  last_checkpoint_ = save_checkpoint(config_.output, state_, model_.trainable(), model_.optimizer(),
                                     model_.adapter(), identity_);
  saved_at_ = state_.global_step;
  prune_checkpoints(config_.output, config_.save_total_limit, state_.best_checkpoint);
  if (events_.saved) events_.saved(last_checkpoint_);
}

RunResult TrainingRun::finish() {
  check_files();
  check_values();
  if (config_.load_best_model_at_end && !state_.best_checkpoint.empty() &&
      state_.best_step != state_.global_step) {
    load_checkpoint_values(state_.best_checkpoint, model_.trainable());
    model_.trainable().update_compute(stream_);
    notice(fmt::format("the result is the best one, of step {}", state_.best_step));
  }
  RunResult r;
  r.output = config_.output;
  r.last_checkpoint = last_checkpoint_;
  r.steps = state_.global_step;
  r.resumed_at = resumed_at_;
  r.first_loss = state_.first_loss;
  for (const Json& entry : state_.log_history)
    if (entry.contains("loss")) r.last_loss = entry["loss"].get<double>();
  r.seconds = state_.seconds;
  const double session = session_seconds();
  r.tokens_per_second =
      session > 0 ? static_cast<double>(state_.tokens_seen - tokens_at_start_) / session : 0;
  if (all_step_seconds_ > 0)
    r.step_tokens_per_second = static_cast<double>(state_.tokens_seen - tokens_at_start_) / all_step_seconds_;
  r.peak_bytes = static_cast<int64_t>(peak_resident_bytes());
  r.eval_loss = last_eval_loss(state_);
  r.best_eval_loss = state_.best_loss;
  r.stopped_early = stopped_early_;
  Json summary = Json::object();
  summary["epoch"] = state_.epoch;
  summary["step"] = state_.global_step;
  summary["total_flos"] = 0;
  summary["train_loss"] =
      state_.global_step > 0 ? state_.total_loss / static_cast<double>(state_.global_step) : 0;
  summary["train_runtime"] = state_.seconds;
  summary["train_steps_per_second"] =
      state_.seconds > 0 ? static_cast<double>(state_.global_step) / state_.seconds : 0;
  state_.log_history.push_back(std::move(summary));
  if (stopped_early_) state_.max_steps = total_;
  r.adapter_file_bytes = static_cast<int64_t>(write_results(setup_, model_, state_, r));
  return r;
}

}  // namespace lorikeet
