// Ten optimizer steps of every family against PyTorch's AdamW: weight decay, warm-up and cosine, clipping,
// accumulation over uneven rows, a short macro-batch at the end of each epoch.
#include <cmath>

#include "lorikeet/trainer.h"
#include "parity/recordings.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class TrainingParity : public TempFolder, public ::testing::WithParamInterface<Recording> {
 protected:
  RunConfig config() const {
    const Recording& r = GetParam();
    RunConfig c;
    for (const auto& [key, value] : r.entry["recipe"].items())
      set_key(c, key, value.is_string() ? value.get<std::string>() : to_text(value), "parity.json");
    c.model = r.model();
    c.data = {r.path(r.entry["data"].get<std::string>())};
    c.output = path("out");
    c.adapter = r.adapter();
    c.max_length = 32;
    c.allow_longer_context =
        true;  // the rows of the fixture with dynamic rope scaling are too long on purpose
    c.report_to = ReportTo::none;
    c.threads = 2;
    c.logging_steps = 1;
    return c;
  }
};

TEST_P(TrainingParity, TenLossesMatchPyTorch) {
  const Json& recorded = GetParam().entry;
  std::vector<StepReport> steps;
  TrainerEvents events;
  events.step = [&](const StepReport& s) { steps.push_back(s); };
  Trainer trainer(config());
  trainer.run(events);
  ASSERT_EQ(steps.size(), recorded["losses"].size());
  for (size_t i = 0; i < steps.size(); ++i) {
    const double loss = recorded["losses"][i], norm = recorded["grad_norms"][i],
                 rate = recorded["learning_rates"][i];
    EXPECT_NEAR(steps[i].loss, loss, 1e-4 * loss) << "step " << i + 1;
    EXPECT_NEAR(steps[i].grad_norm, norm, 1e-3 * norm) << "step " << i + 1;
    EXPECT_NEAR(steps[i].learning_rate, rate, 1e-9) << "step " << i + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, TrainingParity, ::testing::ValuesIn(recordings("training")), test_name);

}  // namespace
}  // namespace lorikeet::testing
