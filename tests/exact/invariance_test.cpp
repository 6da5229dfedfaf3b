// What may not change a run, and what may change it by rounding only.
#include <cmath>
#include <fstream>

#include "exact/trainer_fixture.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "peft/adapter_files.h"

namespace lorikeet::testing {
namespace {

class Training : public TrainerTest {
 protected:
  /// Normalised mean square error between the adapters of two runs, A and B together.
  double adapter_nmse(const std::string& one, const std::string& other) const {
    const std::vector<AdapterTensor> x = read_adapter_tensors(path(one)),
                                     y = read_adapter_tensors(path(other));
    double error = 0, size = 0;
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t k = 0; k < x[i].values.size(); ++k) {
        const double a = x[i].values[k], b = y[i].values[k];
        error += (a - b) * (a - b);
        size += b * b;
      }
    return error / size;
  }
};

TEST_F(Training, ThreadCountChangesNoBit) {
  RunConfig one = config("one"), two = config("two"), three = config("three");
  one.threads = 1;
  three.threads = 3;
  EXPECT_EQ(train(one), train(two));
  train(three);
  EXPECT_EQ(adapter("one"), adapter("two"));
  EXPECT_EQ(adapter("one"), adapter("three"));
}

TEST_F(Training, RecomputationChangesNoBit) {
  RunConfig off = config("off"), on = config("on");
  off.gradient_checkpointing = GradientCheckpointing::off;
  on.gradient_checkpointing = GradientCheckpointing::on;
  EXPECT_EQ(train(off), train(on));
  EXPECT_EQ(adapter("off"), adapter("on"));
}

TEST_F(Training, WithARateOfZeroTheTrainingLossIsTheEvaluationLoss) {
  RunConfig c = config("out");
  c.learning_rate = 0;
  c.lora_dropout = 0;
  c.shuffle = false;
  c.eval_data = c.data;
  c.per_device_train_batch_size = 11;  // the whole data in one micro-batch
  c.gradient_accumulation_steps = 1;
  c.max_steps = 2;
  RunResult result;
  const std::vector<double> losses = train(c, &result);
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_EQ(losses[0], result.eval_loss);
}

TEST_F(Training, NoiseOnEmbeddingsIsForTrainingOnly) {
  RunConfig c = config("plain");
  c.learning_rate = 0;
  c.lora_dropout = 0;
  c.eval_data = c.data;
  c.max_steps = 2;
  RunResult plain, noisy;
  const std::vector<double> without = train(c, &plain);
  c.output = path("noisy");
  c.neftune_noise_alpha = 5;
  const std::vector<double> with = train(c, &noisy);
  EXPECT_NE(with[0], without[0]);
  EXPECT_EQ(noisy.eval_loss, plain.eval_loss);
}

TEST_F(Training, NoiseOnEmbeddingsFollowsTheRowNotTheMicroBatch) {
  std::vector<std::vector<double>> losses;
  for (const int64_t rows : {1, 2, 4}) {
    RunConfig c = config(std::to_string(rows));
    c.per_device_train_batch_size = rows;
    c.gradient_accumulation_steps = 4 / rows;
    c.lora_dropout = 0;
    c.neftune_noise_alpha = 5;
    c.max_steps = 3;
    losses.push_back(train(c));
  }
  for (const auto& l : losses)
    for (size_t i = 0; i < l.size(); ++i) EXPECT_NEAR(l[i], losses[0][i], 1e-5 * losses[0][i]);
}

class Starts : public Training, public ::testing::WithParamInterface<LoraInit> {
 protected:
  RunConfig started(const std::string& output) const {
    RunConfig c = config(output);
    c.model = std::string(LORIKEET_FIXTURES) + "/models/llama_tied";  // float32: no rounding of what is left
    c.data = {c.model + "/train.jsonl"};
    c.eval_data = c.data;
    c.lora_dropout = 0;
    c.lora_r = 4;
    c.use_rslora = true;
    c.rank_pattern = {{"down_proj", 3}};
    c.init_lora_weights = GetParam();
    return c;
  }
};

TEST_P(Starts, BeginAsTheBase) {
  RunConfig c = started("out");
  c.learning_rate = 0;
  c.max_steps = 2;
  const std::vector<double> begun = train(c);
  c.output = path("default");
  c.init_lora_weights = LoraInit::standard;
  const std::vector<double> base = train(c);
  for (size_t i = 0; i < base.size(); ++i) EXPECT_NEAR(begun[i], base[i], 1e-5 * base[i]);  // f32 rounding
}

TEST_P(Starts, AreSavedAsAPlainAdapterOfTheBaseAsItWas) {
  RunResult trained, loaded;
  RunConfig c = started("out");
  train(c, &trained);
  RunConfig again = config("again");
  again.model = c.model;
  again.data = c.data;
  again.eval_data = c.data;
  again.adapter = path("out");
  again.lora_dropout = 0;
  again.learning_rate = 0;
  again.max_steps = 2;
  train(again, &loaded);
  EXPECT_NEAR(*loaded.eval_loss, *trained.eval_loss, 1e-5 * *trained.eval_loss);  // f32 rounding
  EXPECT_EQ(AdapterConfig::read(path("out")).targets.r, 8);
  RunConfig written;
  apply_yaml_file(written, path("out/run.yaml"));
  EXPECT_EQ(written.init_lora_weights, GetParam());
  EXPECT_EQ(written.recorded.at("saved_lora_r"), "8");
}

INSTANTIATE_TEST_SUITE_P(ThatChangeTheBase, Starts, ::testing::Values(LoraInit::pissa, LoraInit::olora),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_F(Training, DoraStartsAsTheBase) {
  RunConfig c = config("lora");
  c.learning_rate = 0;
  c.lora_dropout = 0;
  c.max_steps = 2;
  const std::vector<double> lora = train(c);
  c.output = path("dora");
  c.use_dora = true;
  const std::vector<double> dora = train(c);
  // The magnitude over the norm is 1 up to two roundings of f32.
  for (size_t i = 0; i < lora.size(); ++i) EXPECT_NEAR(dora[i], lora[i], 1e-5 * lora[i]);
}

TEST_F(Training, AccumulationEqualsOneLargeBatch) {
  // The gradient: after one step from zero moments AdamW keeps its sign only, so plain rates cannot show it;
  // the norm before clipping can, and ten steps of losses.
  std::vector<std::vector<StepReport>> runs;
  for (const auto& [rows, accumulation] : {std::pair<int64_t, int64_t>{4, 1}, {2, 2}, {1, 4}}) {
    RunConfig c = config(fmt::format("{}x{}", rows, accumulation));
    c.per_device_train_batch_size = rows;
    c.gradient_accumulation_steps = accumulation;
    c.adam_epsilon = 1e-3;  // a step that follows the gradient's size, not its sign
    TrainerEvents events;
    auto& steps = runs.emplace_back();
    events.step = [&](const StepReport& r) { steps.push_back(r); };
    Trainer(c).run(events);
  }
  for (size_t i = 0; i < 10; ++i)
    for (size_t run : {1, 2}) {
      EXPECT_NEAR(runs[run][i].loss, runs[0][i].loss, 1e-5 * runs[0][i].loss) << "step " << i + 1;
      EXPECT_NEAR(runs[run][i].grad_norm, runs[0][i].grad_norm, 1e-4 * runs[0][i].grad_norm)
          << "step " << i + 1;
    }
  EXPECT_LE(adapter_nmse("2x2", "4x1"), 1e-8);  // ten steps of f32 rounding
  EXPECT_LE(adapter_nmse("1x4", "4x1"), 1e-8);
}

TEST_F(Training, OneStepOfAccumulationGivesTheLargeBatchsGradient) {
  // With beta1 = beta2 = 0 and a large epsilon the first update is lr * g / epsilon up to |g| / epsilon: the
  // gradient itself, through the file.
  for (const auto& [rows, accumulation] : {std::pair<int64_t, int64_t>{4, 1}, {2, 2}}) {
    RunConfig c = config(fmt::format("{}x{}", rows, accumulation));
    c.adapter = fixture("adapter_all");  // B is not zero, so A has a gradient
    c.lora_dropout = 0;
    c.per_device_train_batch_size = rows;
    c.gradient_accumulation_steps = accumulation;
    c.max_steps = 1;
    c.warmup_steps = 0;
    c.warmup_ratio = 0;
    c.adam_beta1 = c.adam_beta2 = 0;
    c.adam_epsilon = 1;
    c.learning_rate = 1e3;  // the update drowns the values it is added to
    c.max_grad_norm = 0;
    train(c);
  }
  EXPECT_LE(adapter_nmse("2x2", "4x1"), 1e-12);  // the token sum has another order
}

TEST_F(Training, PackedRowsStaySeparate) {
  // All rows in one step: packing may change the order of sums, nothing else.
  RunConfig plain = config("plain"), packed = config("packed");
  for (RunConfig* c : {&plain, &packed}) {
    c->per_device_train_batch_size = 16;
    c->gradient_accumulation_steps = 1;
    c->max_steps = 3;
    c->lora_dropout = 0;
  }
  packed.packing = true;
  packed.max_length = 64;
  const std::vector<double> x = train(plain), y = train(packed);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-5 * x[i]);
}

TEST_F(Training, PlannedArenaHoldsEveryStepAndPeakStaysUnderThePlan) {
#ifdef LORIKEET_SANITIZED
  GTEST_SKIP() << "a sanitizer's own memory is in no plan";
#endif
  RunConfig c = config("out");
  c.num_train_epochs = 3;
  c.max_steps = -1;
  Trainer trainer(c);
  const int64_t planned = trainer.facts().memory.peak_bytes;
  const RunResult result = trainer.run();
  EXPECT_LE(result.peak_bytes, planned);
}

TEST_F(Training, AMemoryLimitThatCannotBeKeptIsRefusedBeforeAnythingIsWritten) {
  RunConfig c = config("out");
  c.memory_limit = 1 << 20;
  expect_error([&] { train(c); }, ErrorKind::resource, {"memory_limit is", "blocks kept"});
  EXPECT_FALSE(std::filesystem::exists(path("out")));
}

TEST_F(Training, EveryWrittenFileIsThere) {
  RunConfig c = config("out");
  c.eval_split = 0.2;
  train(c);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "README.md", "run.yaml",
                           "trainer_state.json", "metrics.jsonl", "runs", "checkpoint-5", "checkpoint-10"})
    EXPECT_TRUE(std::filesystem::exists(path("out/") + name)) << name;
  RunConfig again;
  apply_yaml_file(again, path("out/run.yaml"));
  EXPECT_EQ(again.base_format, BaseFormat::dense);
  EXPECT_EQ(again.max_length, 128) << "the model's positions";
  EXPECT_FALSE(again.recorded.at("base_fingerprint").empty());
  again.output = path("again");
  train(again);
  EXPECT_EQ(adapter("again"), adapter("out")) << "run.yaml runs again as it is";
}

TEST_F(Training, TheBestModelIsKeptAndARisingLossEndsTheRun) {
  RunConfig c = config("out");
  c.eval_data = {fixture("rows.jsonl")};
  c.eval_steps = 1;
  c.max_steps = 60;
  c.learning_rate = 0.5;  // diverges
  c.warmup_steps = 0;
  c.early_stopping_patience = 2;
  c.load_best_model_at_end = true;
  c.save_total_limit = 1;
  RunResult result;
  const std::vector<double> losses = train(c, &result);
  EXPECT_TRUE(result.stopped_early);
  EXPECT_LT(losses.size(), 60U);
  const Json state = read_json_file(path("out/trainer_state.json"));
  EXPECT_EQ(state["best_metric"].get<double>(), *result.best_eval_loss);
  const std::string best = state["best_model_checkpoint"].get<std::string>();
  EXPECT_EQ(adapter("out"), read(best + "/adapter_model.safetensors"));
}

TEST_F(Training, ALossThatIsNotFiniteNamesTheStepAndLeavesTheLastCheckpoint) {
  RunConfig c = config("out");
  c.learning_rate = 1e6;
  c.warmup_steps = 0;
  c.max_grad_norm = 0;
  c.lora_alpha = 1e17;  // gate times up overflows after the first real update
  c.save_steps = 1;
  expect_error([&] { train(c); }, ErrorKind::format, {"of step", "learning_rate"});
  EXPECT_FALSE(std::filesystem::exists(path("out/adapter_model.safetensors")));
}

/// Overwrites the first element of a tensor of a safetensors file, f32 or bf16, by NaN.
void put_nan(const std::string& path, const std::string& name) {
  size_t at = 0;
  {
    const SafetensorsFile file = SafetensorsFile::open(path);
    at = static_cast<size_t>(file.find(name)->data - file.file().data());
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.write("\xc0\x7f\xc0\x7f", 4);
}

TEST_F(Training, ABaseWeightThatIsNoNumberIsNamed) {
  std::filesystem::copy(fixture(""), path("model"), std::filesystem::copy_options::recursive);
  put_nan(path("model/model.safetensors"), "model.layers.1.mlp.up_proj.weight");
  RunConfig c = config("out");
  c.model = path("model");
  expect_error([&] { train(c); }, ErrorKind::format,
               {"the loss of step 1 is nan", "model.layers.1.mlp.up_proj.weight [0,0] is nan"});
}

TEST_F(Training, AnAdapterThatHoldsNoNumberIsNotTrainedFurther) {
  std::filesystem::copy(fixture("adapter_all"), path("adapter"));
  const std::string name = "model.layers.0.self_attn.q_proj.lora_B.weight";
  put_nan(path("adapter/adapter_model.safetensors"), "base_model.model." + name);
  RunConfig c = config("out");
  c.adapter = path("adapter");
  c.lora_dropout = 0;
  expect_error([&] { train(c); }, ErrorKind::format, {name, "holds nan"});
}

TEST_F(Training, AModelFileThatChangesDuringTheRunIsNoticedBeforeAnythingIsSaved) {
  std::filesystem::copy(fixture(""), path("model"), std::filesystem::copy_options::recursive);
  RunConfig c = config("out");
  c.model = path("model");
  TrainerEvents events;
  events.step = [&](const StepReport& r) {
    if (r.step == 4)
      std::filesystem::last_write_time(path("model/model.safetensors"), std::filesystem::file_time_type());
  };
  expect_error([&] { Trainer(c).run(events); }, ErrorKind::resource,
               {"changed during the run", path("model")});
  EXPECT_FALSE(std::filesystem::exists(path("out/checkpoint-5")));
}

TEST_F(Training, PagedStateLeavesMemoryWhereTheLimitIsLowAndChangesNoBit) {
  RunConfig plain = config("plain"), paged = config("paged");
  for (RunConfig* c : {&plain, &paged}) {
    c->lora_r = 1024;  // 12 MB of moments
    c->max_steps = 3;
    c->warmup_steps = 1;
  }
  paged.optim = Optim::paged_adamw_32bit;
  const MemoryPlan all = Trainer(RunConfig(paged)).facts().memory;
  EXPECT_EQ(all.released_bytes, 0);
  paged.memory_limit = static_cast<uint64_t>(all.peak_bytes - all.optimizer_bytes / 2);
  const MemoryPlan little = Trainer(RunConfig(paged)).facts().memory;
  EXPECT_EQ(little.optimizer_bytes, all.optimizer_bytes);
  EXPECT_GT(little.released_bytes, all.optimizer_bytes / 2);
  EXPECT_LE(little.peak_bytes, little.limit_bytes);
  train(plain);
  train(paged);
  EXPECT_EQ(adapter("paged"), adapter("plain"));
}

TEST_F(Training, EightBitStateTakesAQuarterOfTheRoom) {
  RunConfig c = config("out");
  c.lora_r = 1024;  // no tensor has fewer than 4,096 elements
  const int64_t whole = Trainer(RunConfig(c)).facts().memory.optimizer_bytes;
  c.optim = Optim::adamw_8bit;
  const int64_t eighth = Trainer(RunConfig(c)).facts().memory.optimizer_bytes;
  EXPECT_NEAR(static_cast<double>(eighth) / static_cast<double>(whole), 0.25 * (1 + 4.0 / 256), 0.01);
  c.optim = Optim::sgd;
  EXPECT_EQ(Trainer(RunConfig(c)).facts().memory.optimizer_bytes, 0);
}

TEST_F(Training, Bf16WeightsWithoutMastersTakeFourBytesLess) {
  RunConfig c = config("out");
  c.method = Method::full;
  c.lora_dropout = 0;
  c.compute_dtype = ComputeDtype::bfloat16;
  const Trainer masters{RunConfig(c)};
  c.bf16_stochastic_round = true;
  const Trainer rounded{RunConfig(c)};
  const int64_t saved = masters.facts().memory.adapter_bytes - rounded.facts().memory.adapter_bytes;
  // Norm weights stay f32.
  EXPECT_NEAR(static_cast<double>(saved), 4.0 * static_cast<double>(masters.facts().trainable),
              0.03 * 4 * static_cast<double>(masters.facts().trainable));
}

TEST_F(Training, StartingFromAnAdapterTakesItsSettings) {
  RunConfig c = config("out");
  c.adapter = fixture("adapter_patterns");
  c.max_steps = 2;
  c.lora_dropout = 0;
  const Trainer trainer(c);
  EXPECT_EQ(trainer.config().lora_r, 4);
  EXPECT_EQ(trainer.config().lora_alpha, 6);
  set_key(c, "lora_r", "8", "--lora-r");
  expect_error([&] { Trainer(RunConfig(c)); }, ErrorKind::usage,
               {"lora_r is 8, but the adapter has 4", "--lora-r"});
}

TEST_F(Training, ARunThatWouldNeverLearnIsRefused) {
  RunConfig c = config("out");
  c.max_steps = 1;
  expect_error([&] { Trainer(RunConfig(c)); }, ErrorKind::usage, {"never leaves zero"});
}

}  // namespace
}  // namespace lorikeet::testing
