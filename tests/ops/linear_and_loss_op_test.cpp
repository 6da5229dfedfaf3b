#include <cmath>

#include "ops/op_test.h"

namespace lorikeet::testing {
namespace {

constexpr int64_t kTokens = 5, kIn = 6, kOut = 4, kRank = 2;

struct LinearParts {
  Matrix x{kTokens, kIn, 1}, w{kOut, kIn, 2}, bias{1, kOut, 3}, residual{kTokens, kOut, 4},
      low{kTokens, kRank, 5}, b{kOut, kRank, 6}, seed{kTokens, kOut, 7}, y = Matrix::zero(kTokens, kOut);
  Complex loss(TensorView x1, TensorView w1, TensorView bias1, TensorView low1, TensorView b1) {
    const Weight weight = Weight::dense(w1);
    run_reference(LinearArgs{y.complex(), x1, &weight, bias1, residual.complex(), low1, b1});
    return weighted_sum(y, seed);
  }
};

TEST(Linear, AddsBiasResidualAndAdapterInOneSum) {
  LinearParts p;
  const Weight weight = Weight::dense(p.w.real());
  run_reference(LinearArgs{p.y.real(), p.x.real(), &weight, p.bias.real(), p.residual.real(), p.low.real(),
                           p.b.real()});
  for (int64_t n = 0; n < kTokens; ++n)
    for (int64_t o = 0; o < kOut; ++o) {
      double sum = p.bias[static_cast<size_t>(o)] + p.residual[static_cast<size_t>(n * kOut + o)];
      for (int64_t k = 0; k < kIn; ++k)
        sum += p.x[static_cast<size_t>(n * kIn + k)] * p.w[static_cast<size_t>(o * kIn + k)];
      for (int64_t r = 0; r < kRank; ++r)
        sum += p.low[static_cast<size_t>(n * kRank + r)] * p.b[static_cast<size_t>(o * kRank + r)];
      EXPECT_NEAR(p.y[static_cast<size_t>(n * kOut + o)], sum, 1e-14);
    }
}

TEST(LinearBackward, MatchesComplexStepInEveryOperand) {
  LinearParts p;
  Matrix dx = Matrix::zero(kTokens, kIn), dw = Matrix::zero(kOut, kIn), db = Matrix::zero(1, kOut),
         dlow = Matrix::zero(kTokens, kRank), dlora_b = Matrix::zero(kOut, kRank);
  const Weight weight = Weight::dense(p.w.real()), lora_b = Weight::dense(p.b.real());
  run_reference(LinearDxArgs{dx.real(), false, 1, {p.seed.real()}, {&weight}, {}, {}});
  run_reference(LinearDxArgs{dlow.real(), false, 1, {p.seed.real()}, {&lora_b}, {}, {}});
  run_reference(TokenSumArgs{dw.real(), p.seed.real(), p.x.real(), 1});
  run_reference(TokenSumArgs{dlora_b.real(), p.seed.real(), p.low.real(), 1});
  run_reference(ColumnSumArgs{db.real(), p.seed.real(), {}, {}});
  const auto loss = [&](int64_t xi, int64_t wi, int64_t bi, int64_t li, int64_t ri) {
    return p.loss(p.x.complex(xi), p.w.complex(wi), p.bias.complex(bi), p.low.complex(li), p.b.complex(ri));
  };
  expect_gradient(p.x, dx, [&](int64_t i) { return loss(i, -1, -1, -1, -1); });
  expect_gradient(p.w, dw, [&](int64_t i) { return loss(-1, i, -1, -1, -1); });
  expect_gradient(p.bias, db, [&](int64_t i) { return loss(-1, -1, i, -1, -1); });
  expect_gradient(p.low, dlow, [&](int64_t i) { return loss(-1, -1, -1, i, -1); });
  expect_gradient(p.b, dlora_b, [&](int64_t i) { return loss(-1, -1, -1, -1, i); });
}

TEST(LinearBackward, SumsAllMembersOfAGroupAndTheAdapterPart) {
  Matrix dy1(kTokens, kOut, 1), dy2(kTokens, 3, 2), w1(kOut, kIn, 3), w2(3, kIn, 4), dlow(kTokens, kRank, 5),
      a(kRank, kIn, 6), sum(kTokens, kIn, 7), parts(kTokens, kIn, 7);
  const Weight m1 = Weight::dense(w1.real()), m2 = Weight::dense(w2.real()), ma = Weight::dense(a.real());
  run_reference(
      LinearDxArgs{sum.real(), true, 2, {dy1.real(), dy2.real()}, {&m1, &m2}, dlow.real(), a.real()});
  run_reference(LinearDxArgs{parts.real(), true, 1, {dy1.real()}, {&m1}, {}, {}});
  run_reference(LinearDxArgs{parts.real(), true, 1, {dy2.real()}, {&m2}, {}, {}});
  run_reference(LinearDxArgs{parts.real(), true, 1, {dlow.real()}, {&ma}, {}, {}});
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], parts[i], 1e-14);
}

TEST(Embedding, BackwardAddsEveryUseOfAToken) {
  const std::vector<int32_t> tokens = {2, 0, 2, 1, 2};
  Matrix table(3, kIn, 1), dtable = Matrix::zero(3, kIn), seed(kTokens, kIn, 2),
                           y = Matrix::zero(kTokens, kIn);
  run_reference(EmbeddingBwdArgs{dtable.real(), seed.real(), tokens.data(), 1.5});
  expect_gradient(table, dtable, [&](int64_t i) {
    const Weight w = Weight::dense(table.complex(i));
    run_reference(EmbeddingArgs{y.complex(), &w, tokens.data(), 1.5});
    return weighted_sum(y, seed);
  });
}

struct LossCase {
  double logit_scale, softcap;
};
class CrossEntropy : public ::testing::TestWithParam<LossCase> {};

TEST_P(CrossEntropy, GradientMatchesComplexStep) {
  const std::vector<int32_t> target = {0, 3, 6, 3, 1};
  Matrix z(kTokens, 7, 1, 4), dz = Matrix::zero(kTokens, 7), row = Matrix::zero(kTokens, 1),
                              sum = Matrix::zero(1, 1);
  run_reference(CrossEntropyArgs{dz.real(), row.real(), sum.real(), z.real(), target.data(), nullptr, 1,
                                 GetParam().logit_scale, GetParam().softcap});
  expect_gradient(z, dz, [&](int64_t i) {
    run_reference(CrossEntropyArgs{{},
                                   row.complex(),
                                   sum.complex(),
                                   z.complex(i),
                                   target.data(),
                                   nullptr,
                                   1,
                                   GetParam().logit_scale,
                                   GetParam().softcap});
    return sum.complex_at(0) - Complex(sum[0], 0);
  });
}
INSTANTIATE_TEST_SUITE_P(Transforms, CrossEntropy,
                         ::testing::Values(LossCase{1, 0}, LossCase{0.5, 0}, LossCase{1, 2},
                                           LossCase{0.7, 3}));

TEST(CrossEntropy, OfEqualLogitsIsTheLogarithmOfTheVocabulary) {
  const std::vector<int32_t> target = {2, 0};
  Matrix z = Matrix::zero(2, 8), row = Matrix::zero(2, 1), sum = Matrix::zero(1, 1);
  int64_t correct = 0;
  run_reference(CrossEntropyArgs{{}, row.real(), sum.real(), z.real(), target.data(), &correct, 1, 1, 0});
  EXPECT_NEAR(sum[0], 2 * std::log(8.0), 1e-14);
  EXPECT_EQ(correct, 1);  // the first of equal logits counts as the argmax
}

TEST(CrossEntropy, OfHugeLogitsStaysFinite) {
  const std::vector<int32_t> target = {1};
  Matrix z = Matrix::zero(1, 3), dz = Matrix::zero(1, 3), row = Matrix::zero(1, 1), sum = Matrix::zero(1, 1);
  z[0] = 1e4;
  z[1] = -1e4;
  run_reference(
      CrossEntropyArgs{dz.real(), row.real(), sum.real(), z.real(), target.data(), nullptr, 1, 1, 0});
  EXPECT_DOUBLE_EQ(sum[0], 2e4);
  EXPECT_DOUBLE_EQ(dz[0], 1);
  EXPECT_DOUBLE_EQ(dz[1], -1);
}

}  // namespace
}  // namespace lorikeet::testing
