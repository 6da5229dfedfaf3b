// The lock, metrics.jsonl and trainer_state.json.
#include <sys/wait.h>
#include <unistd.h>

#include "io/json.h"
#include "train/metrics_file.h"
#include "train/run_lock.h"
#include "train/run_state.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class RunFiles : public TempFolder {};

TEST_F(RunFiles, ASecondRunIsKeptOutUntilTheFirstEnds) {
  {
    const RunLock first(path("out"));
    expect_error([&] { const RunLock second(path("out")); }, ErrorKind::resource,
                 {"another run is writing to", "out"});
  }
  const RunLock third(path("out"));
}

TEST_F(RunFiles, TheLockOfAKilledRunIsFree) {
  const pid_t child = fork();
  if (child == 0) {
    new RunLock(path("out"));
    _exit(0);  // without the destructor
  }
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(std::filesystem::exists(path("out/") + RunLock::kFileName));
  const RunLock next(path("out"));
}

TEST_F(RunFiles, MetricsOfStepsThatAreDoneAgainStandThereOnce) {
  StepReport report;
  {
    MetricsFile metrics(folder_, 0);
    for (report.step = 1; report.step <= 4; ++report.step) metrics.append(report);
  }
  write("metrics.jsonl", read(path("metrics.jsonl")) + "{\"step\": 5, \"lo");  // cut off by a crash
  {
    MetricsFile metrics(folder_, 2);
    report.step = 3;
    metrics.append(report);
  }
  std::string steps;
  std::ifstream in(path("metrics.jsonl"));
  for (std::string line; std::getline(in, line);) {
    const Json object = Json::parse(line);
    steps += to_text(object["step"]) + " ";
    for (const char* key :
         {"loss", "grad_norm", "learning_rate", "tokens", "tokens_per_second", "seconds", "peak_bytes"})
      EXPECT_TRUE(object.contains(key)) << key;
  }
  EXPECT_EQ(steps, "1 2 3 ");
}

RunState some_state() {
  RunState s;
  s.global_step = 7;
  s.max_steps = 10;
  s.epoch = 1.75;
  s.tokens_seen = 1234;
  s.seconds = 0.1;
  s.log_history = {Json{{"loss", 1.0 / 3}, {"step", 7}}};
  s.best_loss = 0.1 + 0.2;
  s.best_step = 5;
  s.best_checkpoint = "out/checkpoint-5";
  s.evaluations_without_gain = 2;
  s.window_loss = 1e-17;
  s.window_steps = 3;
  s.total_loss = 2.0 / 3;
  s.train_batch_size = 4;
  return s;
}

TEST(TrainerState, IsReadBackToTheLastBit) {
  const std::string text = to_text(some_state());
  const RunState again = parse_run_state(parse_json(text, "state"), "state");
  EXPECT_EQ(to_text(again), text);
  EXPECT_EQ(again.best_loss, some_state().best_loss);
  EXPECT_EQ(again.window_loss, some_state().window_loss);
  EXPECT_EQ(again.log_history[0]["loss"].get<double>(), 1.0 / 3);
}

TEST(TrainerState, HasTransformersFieldsInTheirOrder) {
  const Json json = Json::parse(to_text(some_state()));
  std::string last;
  for (const auto& [key, value] : json.items()) {
    EXPECT_LT(last, key);
    last = key;
  }
  for (const char* key : {"best_global_step",
                          "best_metric",
                          "best_model_checkpoint",
                          "epoch",
                          "eval_steps",
                          "global_step",
                          "is_hyper_param_search",
                          "is_local_process_zero",
                          "is_world_process_zero",
                          "log_history",
                          "logging_steps",
                          "max_steps",
                          "num_input_tokens_seen",
                          "num_train_epochs",
                          "save_steps",
                          "stateful_callbacks",
                          "total_flos",
                          "train_batch_size",
                          "trial_name",
                          "trial_params"})
    EXPECT_TRUE(json.contains(key)) << key;
}

TEST(TrainerState, DamagedStateIsRefusedByField) {
  Json json = Json::parse(to_text(some_state()));
  json.erase("global_step");
  expect_error([&] { parse_run_state(json, "s.json"); }, ErrorKind::format,
               {"\"global_step\" is missing", "s.json"});
  json = Json::parse(to_text(some_state()));
  json["log_history"] = 5;
  expect_error([&] { parse_run_state(json, "s.json"); }, ErrorKind::format, {"log_history"});
  expect_error([&] { parse_run_state(Json(5), "s.json"); }, ErrorKind::format, {"object"});
}

}  // namespace
}  // namespace lorikeet::testing
