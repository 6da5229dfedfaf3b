#include "export/debug_dump.h"

#include <gmock/gmock.h>

#include <cmath>

#include "engine/tiny_model.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

using ::testing::ElementsAre;

class DebugDumpTest : public TempFolder {
 protected:
  DebugDumpTest() : engine_(StepSetup{}) {
    engine_.store().update_compute(Stream{Device::cpu, &engine_.threads(), nullptr});
    request_.rows = {{{1, 2, 3, 4, 5}, {-100, -100, 3, 4, 5}}, {{7, 8, 9}, {7, 8, 9}}};
    request_.output = path("dump.safetensors");
  }
  void dump() { write_debug_dump(engine_.model(), engine_.store(), engine_.threads(), request_); }
  static const float* floats(const SafetensorsTensor& t) { return reinterpret_cast<const float*>(t.data); }

  Engine engine_;
  DumpRequest request_;
};

TEST_F(DebugDumpTest, TheLossIsTheMeanOverTheShiftedTargetsOfAllRows) {
  dump();
  const SafetensorsSet file = SafetensorsSet::open_file(request_.output);
  EXPECT_THAT(file.at("logits.0").shape, ElementsAre(5, 43));
  EXPECT_THAT(file.at("logits.1").shape, ElementsAre(3, 43));
  double sum = 0;
  const auto add = [&](const char* name, int position, int target) {
    const float* z = floats(file.at(name)) + position * 43;
    double total = 0;
    for (int i = 0; i < 43; ++i) total += std::exp(static_cast<double>(z[i]));
    sum += std::log(total) - static_cast<double>(z[target]);
  };
  add("logits.0", 1, 3);
  add("logits.0", 2, 4);
  add("logits.0", 3, 5);
  add("logits.1", 0, 8);
  add("logits.1", 1, 9);
  EXPECT_NEAR(*floats(file.at("loss")), sum / 5, 1e-5);
  EXPECT_EQ(file.tensors().size(), 3u);
}

TEST_F(DebugDumpTest, HiddenStatesEndWithTheLastNormsOutput) {
  request_.hidden_states = true;
  dump();
  const SafetensorsSet file = SafetensorsSet::open_file(request_.output);
  EXPECT_THAT(file.at("hidden.0.1").shape, ElementsAre(3, 36));
  ASSERT_NE(file.find("hidden.4.0"), nullptr);
  EXPECT_EQ(file.find("hidden.5.0"), nullptr);
  // The head applied to the norm's output gives the logits.
  const float* h = floats(file.at("hidden.4.0"));
  const float* head = engine_.model().head.out().w.dense_view().as<float>();
  double z = 0;
  for (int k = 0; k < 36; ++k)
    z += static_cast<double>(h[2 * 36 + k]) * static_cast<double>(head[5 * 36 + k]);
  EXPECT_NEAR(floats(file.at("logits.0"))[2 * 43 + 5], z, 1e-5);
}

TEST_F(DebugDumpTest, GradientsAreTheDifferenceQuotientsOfTheLoss) {
  request_.gradients = true;
  dump();
  const std::string name = "model.layers.1.self_attn.o_proj.lora_B.weight";
  double gradient = 0, before = 0;
  {
    const SafetensorsSet file = SafetensorsSet::open_file(request_.output);
    gradient = static_cast<double>(floats(file.at("grad.base_model.model." + name))[1]);
    before = static_cast<double>(*floats(file.at("loss")));
  }
  request_.gradients = false;
  const float step = 1e-2f;
  engine_.store().value_of(*engine_.store().find(name)).row<float>(0)[1] += step;
  engine_.store().update_compute(Stream{Device::cpu, &engine_.threads(), nullptr});
  dump();
  const SafetensorsSet file = SafetensorsSet::open_file(request_.output);
  // A forward difference: its own error is about step * curvature.
  EXPECT_NEAR((static_cast<double>(*floats(file.at("loss"))) - before) / static_cast<double>(step), gradient,
              0.02 * std::abs(gradient) + 2e-4);
}

TEST_F(DebugDumpTest, WrongRowsAreRefusedByNumber) {
  const auto refused = [&](std::vector<DumpRow> rows, std::initializer_list<std::string> parts) {
    request_.rows = std::move(rows);
    expect_error([&] { dump(); }, ErrorKind::usage, parts);
  };
  refused({{{1, 2}, {1}}}, {"1 labels for 2 tokens", "row 1"});
  refused({{{1, 2}, {1, 2}}, {{}, {}}}, {"no tokens", "row 2"});
  refused({{{1, 99}, {1, 2}}}, {"token id 99"});
  refused({{{1, 2}, {1, -100}}}, {"no row has a target"});
  refused({{std::vector<int32_t>(33, 1), std::vector<int32_t>(33, 1)}}, {"33 tokens", "32 positions"});
}

TEST_F(DebugDumpTest, DiffGoesInTheOrderOfComputation) {
  const auto make = [&](const std::string& name, float last) {
    SafetensorsWriter w(path(name), {{"hidden.2.0", SafetensorsType::f32, {2}},
                                     {"hidden.10.0", SafetensorsType::f32, {1}},
                                     {"loss", SafetensorsType::f32, {1}},
                                     {"grad.x", SafetensorsType::f32, {1}},
                                     {"logits.0", SafetensorsType::f32, {1}}});
    const std::vector<float> two = {3, 4}, one = {1}, changed = {last};
    w.write("hidden.2.0", std::span<const float>(two));
    w.write("hidden.10.0", std::span<const float>(changed));
    for (const char* n : {"loss", "grad.x", "logits.0"}) w.write(n, std::span<const float>(one));
    w.commit();
    return path(name);
  };
  const std::vector<DumpDifference> d = diff_dumps(make("a", 1), make("b", 1.5f));
  std::vector<std::string> names;
  for (const DumpDifference& x : d) names.push_back(x.name);
  EXPECT_THAT(names, ElementsAre("hidden.2.0", "hidden.10.0", "logits.0", "loss", "grad.x"));
  EXPECT_FALSE(d[0].beyond(0));
  EXPECT_TRUE(d[1].beyond(0.1));
  EXPECT_EQ(d[1].largest, 0.5);
  EXPECT_EQ(d[1].nmse, 0.25);
}

}  // namespace
}  // namespace lorikeet::testing
