// The ops of a mixture of experts by themselves; a whole block of it is in engine/gradient_test.cpp.
#include "ops/op_test.h"

namespace lorikeet::testing {
namespace {

/// Memory for the numbers that route fills.
struct Places {
  std::vector<int32_t> expert, row, token, first;
  ExpertRows rows;
  Places(int64_t tokens, int64_t experts, int64_t top_k)
      : expert(static_cast<size_t>(tokens * top_k), -1),
        row(expert.size(), -1),
        token(expert.size(), -1),
        first(static_cast<size_t>(experts + 1), -1),
        rows{top_k, expert.data(), row.data(), token.data(), first.data()} {}
};

constexpr int64_t kTokens = 7, kExperts = 5, kTopK = 3, kRows = kTokens * kTopK;

TEST(Route, SendsEachTokenToItsMostProbableExpertsInRisingOrder) {
  Matrix logits = Matrix::zero(2, 4), p = Matrix::zero(2, 4), weight = Matrix::zero(4, 1);
  const double z[] = {std::log(2), std::log(5), std::log(1), std::log(2.5),  // of a sum of 10.5
                      std::log(4), std::log(1), std::log(3), std::log(2)};   // of 10
  for (size_t i = 0; i < 8; ++i) logits[i] = z[i];
  Places places(2, 4, 2);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, false});
  EXPECT_EQ(places.expert, (std::vector<int32_t>{1, 3, 0, 2}));
  // Rows lie by expert: 0 has token 1, 1 token 0, 2 token 1, 3 token 0.
  EXPECT_EQ(places.first, (std::vector<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(places.token, (std::vector<int32_t>{1, 0, 1, 0}));
  EXPECT_EQ(places.row, (std::vector<int32_t>{1, 3, 0, 2}));
  const double raw[] = {0.4, 5 / 10.5, 0.3, 2.5 / 10.5};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(weight[i], raw[i], 1e-15);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, true});
  const double normalized[] = {4 / 7.0, 5 / 7.5, 3 / 7.0, 2.5 / 7.5};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(weight[i], normalized[i], 1e-15);
}

TEST(Route, TakesTheLowerOfEqualExperts) {
  Matrix logits = Matrix::zero(1, 5), p = Matrix::zero(1, 5), weight = Matrix::zero(3, 1);
  logits[4] = 1;  // the others are equal
  Places places(1, 5, 3);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, true});
  EXPECT_EQ(places.expert, (std::vector<int32_t>{0, 1, 4}));
}

TEST(Route, KeepsTheTokensOfAnExpertInOrderAndMayLeaveExpertsWithoutAny) {
  Matrix logits = Matrix::zero(4, 3), p = Matrix::zero(4, 3), weight = Matrix::zero(4, 1);
  for (const size_t token : {0u, 1u, 3u}) logits[3 * token + 2] = 1;
  logits[3 * 2] = 1;
  Places places(4, 3, 1);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, true});
  EXPECT_EQ(places.first, (std::vector<int32_t>{0, 1, 1, 4}));
  EXPECT_EQ(places.token, (std::vector<int32_t>{2, 0, 1, 3}));
}

TEST(Route, StaysInBoundsWhereLogitsAreNotNumbers) {
  Matrix logits = Matrix::zero(2, 4), p = Matrix::zero(2, 4), weight = Matrix::zero(4, 1);
  for (size_t i = 0; i < 8; ++i) logits[i] = std::nan("");
  Places places(2, 4, 2);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, true});
  EXPECT_EQ(places.expert, (std::vector<int32_t>{0, 1, 0, 1}));
  EXPECT_EQ(places.first, (std::vector<int32_t>{0, 2, 4, 4, 4}));
}

class RouteBackward : public ::testing::TestWithParam<bool> {};
TEST_P(RouteBackward, MatchesComplexStep) {
  const bool normalize = GetParam();
  Matrix logits(kTokens, kExperts, 1, 2), p = Matrix::zero(kTokens, kExperts),
                                          weight = Matrix::zero(kRows, 1), seed(kRows, 1, 3),
                                          dlogits = Matrix::zero(kTokens, kExperts);
  Places places(kTokens, kExperts, kTopK);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, normalize});
  run_reference(RouteBwdArgs{dlogits.real(), seed.real(), weight.real(), p.real(), places.rows, normalize});
  expect_gradient(logits, dlogits, [&](int64_t i) {
    run_reference(RouteArgs{weight.complex(), p.complex(), logits.complex(i), places.rows, normalize});
    return weighted_sum(weight, seed);
  });
}
INSTANTIATE_TEST_SUITE_P(Normalized, RouteBackward, ::testing::Bool());

TEST(CombineRows, AddsTheWeightedRowsOfEachTokenToItsResidual) {
  Matrix logits(kTokens, kExperts, 1), p = Matrix::zero(kTokens, kExperts), weight = Matrix::zero(kRows, 1);
  Places places(kTokens, kExperts, kTopK);
  run_reference(RouteArgs{weight.real(), p.real(), logits.real(), places.rows, false});
  Matrix x(kRows, 4, 5), residual(kTokens, 4, 6), y = Matrix::zero(kTokens, 4),
                                                  plain = Matrix::zero(kTokens, 4);
  run_reference(CombineRowsArgs{y.real(), residual.real(), x.real(), weight.real(), places.rows});
  run_reference(CombineRowsArgs{plain.real(), {}, x.real(), {}, places.rows});
  for (size_t n = 0; n < kTokens; ++n)
    for (size_t k = 0; k < 4; ++k) {
      double want = residual[4 * n + k], sum = 0;
      for (size_t j = 0; j < kTopK; ++j) {
        const auto row = static_cast<size_t>(places.row[kTopK * n + j]);
        want += weight[row] * x[4 * row + k];
        sum += x[4 * row + k];
      }
      EXPECT_NEAR(y[4 * n + k], want, 1e-15);
      EXPECT_NEAR(plain[4 * n + k], sum, 1e-15);
    }
}

TEST(RowWeightBackward, MatchesTheFormulaAlsoInPlace) {
  Matrix dy(3, 4, 1), before(3, 4, 1), x(3, 4, 2), weight(3, 1, 3), dweight = Matrix::zero(3, 1);
  run_reference(RowWeightBwdArgs{dy.real(), dweight.real(), dy.real(), x.real(), weight.real()});
  for (size_t i = 0; i < 3; ++i) {
    double dot = 0;
    for (size_t k = 0; k < 4; ++k) {
      dot += before[4 * i + k] * x[4 * i + k];
      EXPECT_NEAR(dy[4 * i + k], weight[i] * before[4 * i + k], 1e-15);
    }
    EXPECT_NEAR(dweight[i], dot, 1e-15);
  }
}

}  // namespace
}  // namespace lorikeet::testing
