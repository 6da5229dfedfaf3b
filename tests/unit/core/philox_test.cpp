#include "core/philox.h"

#include <gtest/gtest.h>

#include <set>

namespace lorikeet {
namespace {

TEST(Philox, MatchesTheKnownAnswers) {  // Random123's kat_vectors, philox4x32 10 rounds
  const auto zero = Philox(0, 0).words(0);
  EXPECT_EQ(zero, (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const auto ones = Philox(~uint64_t{0}, ~uint64_t{0}).words(~uint64_t{0});
  EXPECT_EQ(ones, (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Philox, UniformCoversTheUnitInterval) {
  const Philox p(42, stable_hash("weights"));
  double sum = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const float u = p.uniform(i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);  // 5 standard errors
}

TEST(Philox, NormalHasUnitVariance) {
  const Philox p(42, 1);
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const double x = p.normal(i);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 20000, 0, 0.036);
  EXPECT_NEAR(squares / 20000, 1, 0.05);
}

TEST(Philox, BelowStaysBelowAndReachesEverything) {
  const Philox p(7, 3);
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 200; ++i) seen.insert(p.below(i, 5));
  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2, 3, 4}));
}

TEST(StableHash, IsFnv1a) { EXPECT_EQ(stable_hash("a"), 0xaf63dc4c8601ec8cu); }

}  // namespace
}  // namespace lorikeet
