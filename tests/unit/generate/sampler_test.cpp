#include "generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

SamplingOptions with(double temperature, double top_p = 1, int64_t top_k = 0) {
  SamplingOptions o;
  o.temperature = temperature;
  o.top_p = top_p;
  o.top_k = top_k;
  return o;
}

std::map<int32_t, int> draws(const std::vector<float>& logits, const SamplingOptions& o, int n) {
  std::map<int32_t, int> counts;
  std::vector<int32_t> scratch;
  for (int i = 0; i < n; ++i) ++counts[sample(logits, o, 0, static_cast<uint64_t>(i), scratch)];
  return counts;
}

TEST(Sampler, TemperatureZeroTakesTheFirstOfEqualMaxima) {
  std::vector<int32_t> scratch;
  EXPECT_EQ(sample(std::vector<float>{1, 5, 5, 2}, with(0), 0, 0, scratch), 1);
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};  // 1/8, 2/8, 5/8
  const auto counts = draws(logits, with(1), 8000);
  // Five standard deviations of a binomial count.
  EXPECT_NEAR(counts.at(0), 1000, 5 * std::sqrt(8000 / 8.0 * 7 / 8));
  EXPECT_NEAR(counts.at(2), 5000, 5 * std::sqrt(8000 * 5 / 8.0 * 3 / 8));
}

TEST(Sampler, TemperatureSharpensTheSoftmax) {
  const std::vector<float> logits = {0, std::log(2.0f)};
  EXPECT_NEAR(draws(logits, with(0.5), 5000).at(0), 1000, 5 * std::sqrt(5000 * 0.2 * 0.8));
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  const auto counts = draws({1, 1.5f, 0.5f, 1.2f}, with(1, 1, 2), 500);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.contains(1) && counts.contains(3));
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector<float> logits = {std::log(5.0f), std::log(3.0f), std::log(2.0f)};  // 0.5, 0.3, 0.2
  EXPECT_EQ(draws(logits, with(1, 0.4), 300).size(), 1u);
  EXPECT_EQ(draws(logits, with(1, 0.7), 300).size(), 2u);
  EXPECT_EQ(draws(logits, with(1, 0.9), 300).size(), 3u);
}

TEST(Sampler, ADrawDependsOnSeedRowAndPositionOnly) {
  const std::vector<float> logits(1000, 0.0f);
  std::vector<int32_t> scratch;
  SamplingOptions o = with(1);
  const int32_t id = sample(logits, o, 3, 17, scratch);
  EXPECT_EQ(sample(logits, o, 3, 17, scratch), id);
  EXPECT_NE(sample(logits, o, 4, 17, scratch), id);
  EXPECT_NE(sample(logits, o, 3, 18, scratch), id);
  o.seed = 43;
  EXPECT_NE(sample(logits, o, 3, 17, scratch), id);
}

TEST(Sampler, LogitsThatAreNotNumbersAreRefused) {
  std::vector<int32_t> scratch;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_error(
      [&] {
        sample(std::vector<float>{nan, nan}, with(0), 0, 0, scratch);
      },
      ErrorKind::format, {"nan"});
}

TEST(Sampler, OptionsOutOfRangeAreRefusedByName) {
  expect_error([] { validate(with(-1)); }, ErrorKind::usage, {"temperature is -1"});
  expect_error([] { validate(with(1, 0)); }, ErrorKind::usage, {"top_p is 0"});
  expect_error([] { validate(with(1, 1, -2)); }, ErrorKind::usage, {"top_k is -2"});
}

}  // namespace
}  // namespace lorikeet::testing
