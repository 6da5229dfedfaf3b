#include "train/checkpoint.h"

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class CheckpointTest : public TempFolder {
 protected:
  static void build(TrainableStore& store, ParameterKind kind) {
    const size_t p = store.declare("p", kind, {16, 3}, 1);
    store.declare_tensor({"model.layers.0.mlp.up_proj.lora_A.weight", p, 0, 2, 0, 3, {2, 3}});
    store.allocate(true, false);
  }
  static void fill(TrainableStore& store, float start) {
    const NamedTensor& t = store.tensors()[0];
    for (const TensorView& whole :
         {store.parameters()[0].value, store.parameters()[0].m, store.parameters()[0].v}) {
      const TensorView v = whole.row_range(t.row, t.rows);
      for (int64_t i = 0; i < t.rows; ++i)
        for (int64_t k = 0; k < t.cols; ++k) v.row<float>(i)[k] = start += 0.1F;
    }
  }
  static std::vector<float> all_of(const TrainableStore& store) {
    std::vector<float> values;
    for (const TensorView& v :
         {store.parameters()[0].value, store.parameters()[0].m, store.parameters()[0].v})
      values.insert(values.end(), v.as<float>(), v.as<float>() + v.count());
    return values;
  }
  std::string save(int64_t step, float start = 1) {
    RunState state;
    state.global_step = step;
    TrainableStore store(DType::f32);
    build(store, ParameterKind::lora_a);
    fill(store, start);
    saved_ = all_of(store);
    return save_checkpoint(folder_, state, store, AdapterConfig(), identity_);
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
  std::vector<float> saved_;
};

TEST_F(CheckpointTest, AdaptersAndMomentsComeBackBitForBit) {
  const std::string path = save(5);
  EXPECT_EQ(path, folder_ + "/checkpoint-5");
  EXPECT_EQ(read_checkpoint_state(path).global_step, 5);
  TrainableStore store(DType::f32);
  build(store, ParameterKind::lora_a);
  load_checkpoint_tensors(path, store);
  EXPECT_EQ(all_of(store), saved_);
}

TEST_F(CheckpointTest, FullWeightsComeBackBitForBit) {
  TrainableStore store(DType::f32), again(DType::f32);
  build(store, ParameterKind::base);
  build(again, ParameterKind::base);
  fill(store, 3);
  load_checkpoint_tensors(save_checkpoint(folder_, {}, store, std::nullopt, identity_), again);
  EXPECT_EQ(all_of(again), all_of(store));
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
  TrainableStore store(DType::f32);
  build(store, ParameterKind::lora_a);
  load_checkpoint_tensors(path, store);
  EXPECT_EQ(all_of(store), saved_);
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
