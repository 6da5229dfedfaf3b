#include "train/checkpoint.h"

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class CheckpointTest : public TempFolder {
 protected:
  /// A store with one tensor and its optimizer.
  struct Trained {
    explicit Trained(ParameterKind kind, Optim optim = Optim::adamw) {
      const size_t p = store.declare("p", kind, {16, 300}, 1);
      store.declare_tensor({"model.layers.0.mlp.up_proj.lora_A.weight", p, 0, 14, 0, 300, {14, 300}});
      store.allocate(true, false);
      OptimizerOptions options;
      options.optim = optim;
      optimizer = make_optimizer(store, options, false);
    }
    void fill(float start) {
      const TensorView v = store.value_of(store.tensors()[0]);
      for (int64_t i = 0; i < v.rows; ++i)
        for (int64_t k = 0; k < v.cols; ++k) v.row<float>(i)[k] = start += 0.1F;
      uint8_t byte = 1;
      for (const StateTensor& t : optimizer->state())
        for (size_t i = 0; i < t.bytes; ++i) optimizer->data(t)[i] = std::byte{byte++};
    }
    std::string all() const {
      const TensorView v = store.parameters()[0].value;
      std::string bytes(static_cast<const char*>(v.data), v.size_bytes());
      for (const StateTensor& t : optimizer->state())
        bytes.append(reinterpret_cast<const char*>(optimizer->data(t)), t.bytes);
      return bytes;
    }
    TrainableStore store{DType::f32};
    std::unique_ptr<Optimizer> optimizer;
  };
  std::string save(int64_t step, float start = 1) {
    RunState state;
    state.global_step = step;
    Trained trained(ParameterKind::lora_a);
    trained.fill(start);
    saved_ = trained.all();
    return save_checkpoint(folder_, state, trained.store, *trained.optimizer, AdapterConfig(), identity_);
  }
  std::string steps() const {
    std::string text;
    for (const CheckpointPlace& c : list_checkpoints(folder_)) text += std::to_string(c.step) + " ";
    return text;
  }
  /// Flips one bit in the middle of a file.
  static void damage(const std::string& file) {
    std::string content = read(file);
    content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 4);
    std::ofstream(file, std::ios::binary) << content;
  }
  RunIdentity identity_ = {{"seed", "42"}};
  std::string saved_;
};

TEST_F(CheckpointTest, AdaptersAndStateComeBackBitForBit) {
  const std::string path = save(5);
  EXPECT_EQ(path, folder_ + "/checkpoint-5");
  EXPECT_EQ(read_checkpoint_state(path).global_step, 5);
  Trained again(ParameterKind::lora_a);
  load_checkpoint_tensors(path, again.store, *again.optimizer);
  EXPECT_EQ(again.all(), saved_);
}

TEST_F(CheckpointTest, FullWeightsComeBackBitForBitWithEveryOptimizer) {
  for (const Optim optim : {Optim::adamw, Optim::adamw_8bit, Optim::sgd}) {
    Trained trained(ParameterKind::base, optim), again(ParameterKind::base, optim);
    trained.fill(3);
    load_checkpoint_tensors(
        save_checkpoint(folder_, {}, trained.store, *trained.optimizer, std::nullopt, identity_), again.store,
        *again.optimizer);
    EXPECT_EQ(again.all(), trained.all());
  }
}

TEST_F(CheckpointTest, TheStateOfAnotherOptimizerIsRefused) {
  const std::string path = save(5);
  Trained other(ParameterKind::lora_a, Optim::adamw_8bit);
  expect_error([&] { load_checkpoint_tensors(path, other.store, *other.optimizer); }, ErrorKind::format,
               {"m.model.layers.0", "of this run's shape"});
}

TEST_F(CheckpointTest, AFlippedBitInAnyFileIsFound) {
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "training_state.safetensors",
                           "trainer_state.json"}) {
    const std::string path = save(5);
    damage(path + "/" + name);
    expect_error([&] { read_checkpoint_state(path); }, ErrorKind::format, {"damaged", name});
  }
}

TEST_F(CheckpointTest, AMissingFileIsNamed) {
  const std::string path = save(5);
  std::filesystem::remove(path + "/training_state.safetensors");
  expect_error([&] { read_checkpoint_state(path); }, ErrorKind::format, {"lacks training_state.safetensors"});
  expect_error([&] { read_checkpoint_state(folder_); }, ErrorKind::usage, {"is no checkpoint"});
  expect_error([&] { read_checkpoint_state(folder_ + "/none"); }, ErrorKind::usage, {"does not exist"});
}

TEST_F(CheckpointTest, TheNewestWholeOneIsFoundByNumber) {
  save(9);
  save(10);
  const std::string broken = save(11);
  damage(broken + "/training_state.safetensors");
  std::filesystem::create_directory(folder_ + "/checkpoint-x");
  std::vector<std::string> skipped;
  const auto newest = newest_whole_checkpoint(folder_, skipped);
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->step, 10);
  ASSERT_EQ(skipped.size(), 1U);
  EXPECT_NE(skipped[0].find("checkpoint-11"), std::string::npos);
}

TEST_F(CheckpointTest, PruningKeepsTheNewestAndTheBest) {
  std::string best;
  for (const int64_t step : {5, 10, 15, 20}) {
    const std::string path = save(step);
    if (step == 5) best = path;
  }
  prune_checkpoints(folder_, 0, best);
  EXPECT_EQ(steps(), "5 10 15 20 ");
  prune_checkpoints(folder_, 2, best);
  EXPECT_EQ(steps(), "5 20 ");
  prune_checkpoints(folder_, 1, "");
  EXPECT_EQ(steps(), "20 ");
}

TEST_F(CheckpointTest, SavingTheSameStepAgainReplacesIt) {
  save(5, 1);
  const std::string path = save(5, 2);
  Trained again(ParameterKind::lora_a);
  load_checkpoint_tensors(path, again.store, *again.optimizer);
  EXPECT_EQ(again.all(), saved_);
  EXPECT_EQ(steps(), "5 ");
}

TEST_F(CheckpointTest, AnotherRunsCheckpointIsRefused) {
  const std::string path = save(5);
  identity_["seed"] = "43";
  expect_error([&] { check_identity(path, identity_); }, ErrorKind::usage,
               {"its seed is \"42\", now it is 43"});
}

}  // namespace
}  // namespace lorikeet::testing
