#include "train/comparison.h"

#include <gmock/gmock.h>

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ComparedRun run(Method method, uint64_t seed, double loss, double gib, double speed) {
  ComparedRun r;
  r.method = method;
  r.seed = seed;
  r.base = "bfloat16";
  r.eval_loss = loss;
  r.peak_bytes = static_cast<int64_t>(gib * 0x1p30);
  r.planned_bytes = r.peak_bytes + 1;
  r.limit_bytes = int64_t{8} << 30;
  r.tokens_per_second = speed;
  r.trainable = 5;
  r.result_bytes = 7;
  return r;
}
ComparedRun refused(Method method) {
  ComparedRun r = run(method, 1, 0, 20, 0);
  r.refused = "the run needs 20 GiB";
  return r;
}

TEST(Comparison, GivesMeanAndSampleDeviationOverSeeds) {
  const std::vector<ComparedRun> runs = {run(Method::lora, 1, 0.2, 1, 100),
                                         run(Method::qlora, 1, 0.5, 0.6, 90),
                                         run(Method::lora, 2, 0.4, 1.5, 120)};
  const std::vector<ComparedMethod> methods = summarise(runs);
  ASSERT_EQ(methods.size(), 2U);
  EXPECT_EQ(methods[0].seeds, 2U);
  EXPECT_DOUBLE_EQ(methods[0].eval_loss.mean, 0.3);
  EXPECT_NEAR(methods[0].eval_loss.deviation, 0.1 * std::sqrt(2.0), 1e-12);
  EXPECT_DOUBLE_EQ(methods[0].tokens_per_second.mean, 110);
  EXPECT_EQ(methods[0].peak_bytes, runs[2].peak_bytes);
  EXPECT_EQ(methods[1].eval_loss.deviation, 0);
  EXPECT_FALSE(methods[0].exact_match);
}

TEST(Comparison, RecommendsTheFastestOfEquallyGoodMethods) {
  const std::vector<ComparedRun> runs = {run(Method::full, 1, 0.214, 2.61, 702),
                                         run(Method::lora, 1, 0.221, 1.02, 1090),
                                         run(Method::qlora, 1, 0.26, 0.6, 1066)};
  const std::string text = recommendation(summarise(runs));
  EXPECT_THAT(text, HasSubstr("data: lora (1.02 GiB of 8.00 GiB)"));
  EXPECT_THAT(text, HasSubstr("cannot be told from full's"));
  EXPECT_THAT(text, HasSubstr("take qlora where memory must stay below 1.02 GiB"));
}

TEST(Comparison, RecommendsTheBestWhereOthersAreWorse) {
  const std::vector<ComparedRun> runs = {run(Method::lora, 1, 0.3, 0.5, 100),
                                         run(Method::qlora, 1, 0.4, 0.6, 900)};
  const std::string text = recommendation(summarise(runs));
  EXPECT_THAT(text, HasSubstr("data: lora"));
  EXPECT_THAT(text, HasSubstr("lowest eval loss"));
  EXPECT_THAT(text, Not(HasSubstr("take")));
}

TEST(Comparison, LargeSpreadsOverSeedsTellNothingApart) {
  const std::vector<ComparedRun> runs = {
      run(Method::lora, 1, 0.30, 1, 100), run(Method::lora, 2, 0.40, 1, 100),
      run(Method::qlora, 1, 0.38, 0.6, 200), run(Method::qlora, 2, 0.48, 0.6, 200)};
  EXPECT_THAT(recommendation(summarise(runs)), HasSubstr("data: qlora"));
}

TEST(Comparison, DoesNotRecommendWhatDoesNotFit) {
  EXPECT_EQ(recommendation(summarise(std::vector<ComparedRun>{refused(Method::full)})),
            "None of these methods fits this machine's memory.");
  const std::vector<ComparedRun> runs = {refused(Method::full), run(Method::lora, 1, 0.3, 1, 100)};
  EXPECT_THAT(recommendation(summarise(runs)), HasSubstr("data: lora"));
}

TEST(Comparison, RunsComeBackFromTheirJson) {
  ComparedRun r = run(Method::qlora, 3, 0.25, 0.5, 321.5);
  r.exact_match = 0.75;
  EXPECT_EQ(to_json(parse_compared_run(to_json(r), "x")), to_json(r));
  EXPECT_EQ(to_json(parse_compared_run(to_json(refused(Method::full)), "x")), to_json(refused(Method::full)));
  expect_error([] { parse_compared_run(Json::object(), "out/comparison.json"); }, ErrorKind::format,
               {"\"method\" is missing", "out/comparison.json"});
}

}  // namespace
}  // namespace lorikeet::testing
