#pragma once
// Runs of the fixture model (3 blocks, 97 tokens) through the public trainer.
#include "lorikeet/trainer.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {

class TrainerTest : public TempFolder {
 protected:
  static std::string fixture(const std::string& name) {
    return std::string(LORIKEET_FIXTURES) + "/models/llama/" + name;
  }

  /// Ten steps of two micro-batches over uneven rows, with shuffling, dropout, warm-up and clipping.
  RunConfig config(const std::string& output) const {
    RunConfig c;
    c.model = fixture("");
    c.data = {fixture("train.jsonl")};
    c.output = path(output);
    c.compute_dtype = ComputeDtype::float32;
    c.per_device_train_batch_size = 2;
    c.gradient_accumulation_steps = 2;
    c.max_steps = 10;
    c.save_steps = 5;
    c.logging_steps = 3;
    c.lora_dropout = 0.1;
    c.learning_rate = 1e-2;
    c.warmup_steps = 2;
    c.threads = 2;
    return c;
  }

  /// Losses of all steps.
  static std::vector<double> train(const RunConfig& c, RunResult* result = nullptr) {
    std::vector<double> losses;
    TrainerEvents events;
    events.step = [&](const StepReport& r) { losses.push_back(r.loss); };
    Trainer trainer(c);
    const RunResult r = trainer.run(events);
    if (result) *result = r;
    return losses;
  }
  std::string adapter(const std::string& output) const {
    return read(path(output) + "/adapter_model.safetensors");
  }
};

}  // namespace lorikeet::testing
