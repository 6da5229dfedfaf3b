// A run that stops and goes on is the run that never stopped, to the last bit.
#include "exact/trainer_fixture.h"
#include "io/json.h"

namespace lorikeet::testing {
namespace {

class Resume : public TrainerTest {
 protected:
  /// The reports of a run, without what depends on the clock.
  std::string reports(const std::string& output) const {
    const Json state = read_json_file(path(output) + "/trainer_state.json");
    std::string text;
    for (const Json& entry : state["log_history"])
      if (entry.contains("loss")) text += to_text(entry) + "\n";
    return text;
  }
  /// A folder with nothing but one checkpoint of another run.
  void copy_checkpoint(const std::string& from, const std::string& to, int64_t step) const {
    const std::string name = "/checkpoint-" + std::to_string(step);
    std::filesystem::create_directories(path(to));
    std::filesystem::copy(path(from) + name, path(to) + name, std::filesystem::copy_options::recursive);
  }
  void expect_same_after_five(const std::function<void(RunConfig&)>& change) {
    RunConfig whole = config("whole");
    change(whole);
    train(whole);
    copy_checkpoint("whole", "resumed", 5);
    RunConfig rest = config("resumed");
    change(rest);
    rest.resume_from_checkpoint = "auto";
    RunResult result;
    EXPECT_EQ(train(rest, &result).size(), 5U);
    EXPECT_EQ(result.resumed_at, 5);
    EXPECT_EQ(reports("resumed"), reports("whole"));
    for (const char* file :
         {"/adapter_model.safetensors", "/model.safetensors", "/checkpoint-10/training_state.safetensors"})
      if (std::filesystem::exists(path("whole") + file)) {
        EXPECT_EQ(read(path("resumed") + file), read(path("whole") + file)) << file;
      }
  }
};

TEST_F(Resume, TenStepsEqualFiveAndFive) {
  expect_same_after_five([](RunConfig&) {});
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithQlora) {
  expect_same_after_five([](RunConfig& c) { c.method = Method::qlora; });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveBesideQuantizedExperts) {
  expect_same_after_five([](RunConfig& c) {
    c.model = std::string(LORIKEET_FIXTURES) + "/models/mixtral";
    c.data = {c.model + "/train.jsonl"};
    c.method = Method::qlora;
    c.lora_target_modules = std::vector<std::string>{"q_proj", "k_proj", "v_proj", "o_proj"};
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithAllWeights) {
  expect_same_after_five([](RunConfig& c) {
    c.method = Method::full;
    c.lora_dropout = 0;
    c.learning_rate = 1e-3;
    c.weight_decay = 0.1;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithLoraPlusAndNoise) {
  expect_same_after_five([](RunConfig& c) {
    c.loraplus_lr_ratio = 4;
    c.neftune_noise_alpha = 5;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithDoraOnAQuantizedBase) {
  expect_same_after_five([](RunConfig& c) {
    c.use_dora = true;
    c.method = Method::qlora;
    c.weight_decay = 0.1;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveFromAPartOfTheBase) {
  expect_same_after_five([](RunConfig& c) {
    c.init_lora_weights = LoraInit::pissa;
    c.lora_r = 4;
    c.weight_decay = 0.1;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithEveryOptimizer) {
  for (const Optim optim :
       {Optim::adamw_8bit, Optim::paged_adamw_32bit, Optim::paged_adamw_8bit, Optim::sgd}) {
    SCOPED_TRACE(name_of(optim));
    for (const char* output : {"whole", "resumed"}) std::filesystem::remove_all(path(output));
    expect_same_after_five([&](RunConfig& c) {
      c.optim = optim;
      c.lora_r = 128;  // tensors of more than 4,096 elements
      c.weight_decay = 0.1;
    });
  }
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithStochasticRounding) {
  for (const Optim optim : {Optim::adamw, Optim::adamw_8bit, Optim::sgd}) {
    SCOPED_TRACE(name_of(optim));
    for (const char* output : {"whole", "resumed"}) std::filesystem::remove_all(path(output));
    expect_same_after_five([&](RunConfig& c) {
      c.method = Method::full;
      c.compute_dtype = ComputeDtype::bfloat16;
      c.bf16_stochastic_round = true;
      c.lora_dropout = 0;
      c.optim = optim;
    });
  }
}

TEST_F(Resume, APagedRunGoesOnFromAnUnpagedOneAndBack) {
  train(config("whole"));
  copy_checkpoint("whole", "paged", 5);
  RunConfig c = config("paged");
  c.optim = Optim::paged_adamw_32bit;
  c.resume_from_checkpoint = "auto";
  train(c);
  EXPECT_EQ(adapter("paged"), adapter("whole"));
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithAdaptersOfEmbeddingAndHead) {
  expect_same_after_five([](RunConfig& c) {
    c.lora_target_modules = std::vector<std::string>{"embed_tokens", "lm_head", "v_proj"};
    c.weight_decay = 0.1;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithSingleTokensAndBiases) {
  expect_same_after_five([](RunConfig& c) {
    c.trainable_token_indices = {7, 3, 40};
    c.lora_bias = true;
    c.learning_rate = 1e-3;
    c.weight_decay = 0.1;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithModulesTrainedInFull) {
  expect_same_after_five([](RunConfig& c) {
    c.lora_modules_to_save = {"lm_head", "model.norm", "embed_tokens", "v_proj"};
    c.learning_rate = 1e-3;
    c.weight_decay = 0.1;
  });
}

TEST_F(Resume, TenStepsEqualFiveAndFiveWithPacking) {
  expect_same_after_five([](RunConfig& c) {
    c.packing = true;
    c.max_length = 24;
    c.per_device_train_batch_size = 1;
  });
}

TEST_F(Resume, AStoppedRunGoesOnAtTheVeryNextStep) {
  train(config("whole"));
  for (const int64_t at : {1, 4, 7}) {
    const std::string output = "stopped-" + std::to_string(at);
    RunConfig c = config(output);
    std::atomic<bool> stop{false};
    TrainerEvents events;
    events.step = [&](const StepReport& r) { stop = r.step == at; };
    const RunResult result = Trainer(c).run(events, &stop);
    EXPECT_EQ(result.outcome, RunOutcome::interrupted);
    EXPECT_EQ(result.last_checkpoint, path(output) + "/checkpoint-" + std::to_string(at));
    c.resume_from_checkpoint = "auto";
    train(c);
    EXPECT_EQ(adapter(output), adapter("whole")) << "stopped after step " << at;
    EXPECT_EQ(reports(output), reports("whole"));
  }
}

TEST_F(Resume, AnotherNumberOfThreadsChangesNoBit) {
  train(config("whole"));
  copy_checkpoint("whole", "resumed", 5);
  RunConfig c = config("resumed");
  c.resume_from_checkpoint = "auto";
  c.threads = 1;
  train(c);
  EXPECT_EQ(adapter("resumed"), adapter("whole"));
}

TEST_F(Resume, AFinishedRunIsLeftAlone) {
  train(config("out"));
  const std::string before = adapter("out");
  RunConfig c = config("out");
  c.resume_from_checkpoint = "auto";
  RunResult result;
  EXPECT_TRUE(train(c, &result).empty());
  EXPECT_EQ(result.outcome, RunOutcome::already_complete);
  EXPECT_EQ(adapter("out"), before);
}

TEST_F(Resume, AutoStartsAnewWhereThereIsNoCheckpoint) {
  RunConfig c = config("out");
  c.resume_from_checkpoint = "auto";
  EXPECT_EQ(train(c).size(), 10U);
}

TEST_F(Resume, AutoPassesOverADamagedCheckpoint) {
  train(config("whole"));
  copy_checkpoint("whole", "resumed", 5);
  copy_checkpoint("whole", "resumed", 10);
  std::ofstream(path("resumed") + "/checkpoint-10/training_state.safetensors", std::ios::app) << "x";
  RunConfig c = config("resumed");
  c.resume_from_checkpoint = "auto";
  EXPECT_EQ(train(c).size(), 5U);
  EXPECT_EQ(adapter("resumed"), adapter("whole"));
}

TEST_F(Resume, AutoDoesNotStartAnewOverDamagedCheckpoints) {
  train(config("whole"));
  copy_checkpoint("whole", "resumed", 5);
  std::ofstream(path("resumed") + "/checkpoint-5/adapter_model.safetensors", std::ios::app) << "x";
  RunConfig c = config("resumed");
  c.resume_from_checkpoint = "auto";
  expect_error([&] { train(c); }, ErrorKind::format,
               {"all 1 checkpoints", "adapter_model.safetensors", "--overwrite"});
}

TEST_F(Resume, ACheckpointOfAnotherRunIsRefused) {
  train(config("whole"));
  RunConfig c = config("other");
  c.resume_from_checkpoint = path("whole") + "/checkpoint-5";
  c.seed = 7;
  expect_error([&] { train(c); }, ErrorKind::usage, {"of another run", "seed"});
  c = config("other");
  c.resume_from_checkpoint = path("whole") + "/checkpoint-5";
  c.data = {fixture("rows.jsonl")};
  expect_error([&] { train(c); }, ErrorKind::usage, {"of another run", "data"});
}

TEST_F(Resume, AFilledFolderIsNotTouchedUnlessAsked) {
  train(config("out"));
  const std::string before = adapter("out");
  expect_error([&] { train(config("out")); }, ErrorKind::usage, {"is not empty", "--overwrite"});
  EXPECT_EQ(adapter("out"), before);
  RunConfig c = config("out");
  c.overwrite = true;
  c.max_steps = 4;
  train(c);
  EXPECT_NE(adapter("out"), before);
  EXPECT_FALSE(std::filesystem::exists(path("out") + "/checkpoint-10"));
}

}  // namespace
}  // namespace lorikeet::testing
