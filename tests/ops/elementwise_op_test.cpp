#include <cmath>

#include "ops/op_test.h"

namespace lorikeet::testing {
namespace {

constexpr int64_t kRows = 5, kCols = 7;

TEST(RmsNorm, OfAConstantRowIsTheSignedWeight) {
  Matrix x = Matrix::zero(1, 4), w(1, 4, 3), y = Matrix::zero(1, 4), rstd = Matrix::zero(1, 1);
  for (size_t i = 0; i < 4; ++i) x[i] = -2;
  run_reference(RmsNormArgs{y.real(), rstd.real(), x.real(), w.real(), 0, 0});
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(y[i], -w[i], 1e-15);
  EXPECT_NEAR(rstd[0], 0.5, 1e-15);
}

class RmsNormBackward : public ::testing::TestWithParam<double> {};
TEST_P(RmsNormBackward, MatchesComplexStep) {
  const double offset = GetParam(), eps = 1e-5;
  Matrix x(kRows, kCols, 1), w(1, kCols, 2), seed(kRows, kCols, 3),
      y = Matrix::zero(kRows, kCols), rstd = Matrix::zero(kRows, 1), dx = Matrix::zero(kRows, kCols),
      dw = Matrix::zero(1, kCols);
  run_reference(RmsNormArgs{y.real(), rstd.real(), x.real(), w.real(), eps, offset});
  run_reference(
      RmsNormBwdArgs{dx.real(), dw.real(), seed.real(), x.real(), w.real(), rstd.real(), offset, false});
  const auto loss = [&](TensorView xc, TensorView wc) {
    run_reference(RmsNormArgs{y.complex(), rstd.complex(), xc, wc, eps, offset});
    return weighted_sum(y, seed);
  };
  expect_gradient(x, dx, [&](int64_t i) { return loss(x.complex(i), w.complex()); });
  expect_gradient(w, dw, [&](int64_t i) { return loss(x.complex(), w.complex(i)); });
}
INSTANTIATE_TEST_SUITE_P(WithOffset, RmsNormBackward, ::testing::Values(0.0, 1.0));

TEST(RmsNormBackward, AddsWhenAskedAndMayOverwriteDy) {
  Matrix x(kRows, kCols, 1), w(1, kCols, 2), seed(kRows, kCols, 3),
      y = Matrix::zero(kRows, kCols), rstd = Matrix::zero(kRows, 1), fresh = Matrix::zero(kRows, kCols),
      added(kRows, kCols, 9), before(kRows, kCols, 9);
  run_reference(RmsNormArgs{y.real(), rstd.real(), x.real(), w.real(), 1e-5, 0});
  run_reference(RmsNormBwdArgs{fresh.real(), {}, seed.real(), x.real(), w.real(), rstd.real(), 0, false});
  run_reference(RmsNormBwdArgs{added.real(), {}, seed.real(), x.real(), w.real(), rstd.real(), 0, true});
  run_reference(RmsNormBwdArgs{seed.real(), {}, seed.real(), x.real(), w.real(), rstd.real(), 0, false});
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(added[i], before[i] + fresh[i], 1e-15);
    EXPECT_EQ(seed[i], fresh[i]);
  }
}

TEST(LayerNorm, OfARowIsItsDeviationsFromTheMean) {
  Matrix x = Matrix::zero(1, 4), w(1, 4, 3), b(1, 4, 4), y = Matrix::zero(1, 4), stats = Matrix::zero(1, 2);
  for (size_t i = 0; i < 4; ++i) x[i] = i % 2 ? 7 : 3;
  run_reference(LayerNormArgs{y.real(), stats.real(), x.real(), w.real(), b.real(), 0});
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(y[i], (i % 2 ? w[i] : -w[i]) + b[i], 1e-15);
  EXPECT_NEAR(stats[0], 5, 1e-15);
  EXPECT_NEAR(stats[1], 0.5, 1e-15);
}

TEST(LayerNormBackward, MatchesComplexStepAlsoInPlaceAndAdded) {
  const double eps = 1e-5;
  Matrix x(kRows, kCols, 1), w(1, kCols, 2), b(1, kCols, 5), seed(kRows, kCols, 3),
      y = Matrix::zero(kRows, kCols), stats = Matrix::zero(kRows, 2), dx = Matrix::zero(kRows, kCols),
      dw = Matrix::zero(1, kCols), db = Matrix::zero(1, kCols), added(kRows, kCols, 9),
      before(kRows, kCols, 9), over(kRows, kCols, 3);
  run_reference(LayerNormArgs{y.real(), stats.real(), x.real(), w.real(), b.real(), eps});
  run_reference(LayerNormBwdArgs{dx.real(), dw.real(), seed.real(), x.real(), w.real(), stats.real(), false});
  run_reference(LayerNormBwdArgs{added.real(), {}, seed.real(), x.real(), w.real(), stats.real(), true});
  run_reference(LayerNormBwdArgs{over.real(), {}, over.real(), x.real(), w.real(), stats.real(), false});
  run_reference(ColumnSumArgs{db.real(), seed.real(), {}, {}});
  const auto loss = [&](TensorView xc, TensorView wc, TensorView bc) {
    run_reference(LayerNormArgs{y.complex(), stats.complex(), xc, wc, bc, eps});
    return weighted_sum(y, seed);
  };
  expect_gradient(x, dx, [&](int64_t i) { return loss(x.complex(i), w.complex(), b.complex()); });
  expect_gradient(w, dw, [&](int64_t i) { return loss(x.complex(), w.complex(i), b.complex()); });
  expect_gradient(b, db, [&](int64_t i) { return loss(x.complex(), w.complex(), b.complex(i)); });
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(added[i], before[i] + dx[i], 1e-15);
    EXPECT_EQ(over[i], dx[i]);
  }
}

TEST(Add, ScalesTheSecondTermAndMayOverwriteTheFirst) {
  Matrix a(kRows, kCols, 1), b(kRows, kCols, 2), y = Matrix::zero(kRows, kCols), over(kRows, kCols, 1);
  run_reference(AddArgs{y.real(), a.real(), b.real(), 0.4});
  run_reference(AddArgs{over.real(), over.real(), b.real(), 0.4});
  for (size_t i = 0; i < y.size(); ++i) {
    EXPECT_EQ(y[i], a[i] + 0.4 * b[i]);
    EXPECT_EQ(over[i], y[i]);
  }
}

TEST(LogitCap, ScalesAndCapsInPlace) {
  Matrix x(2, 3, 1, 9), scaled = Matrix::zero(2, 3), capped(2, 3, 1, 9);
  run_reference(LogitCapArgs{scaled.real(), x.real(), 0.5, 0});
  run_reference(LogitCapArgs{capped.real(), capped.real(), 0.5, 3});
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(scaled[i], 0.5 * x[i]);
    EXPECT_NEAR(capped[i], 3 * std::tanh(0.5 * x[i] / 3), 1e-15);
  }
}

TEST(HeadLayout, TakesTheHeadsOfEveryGroupOutOfAFusedRowAndPutsTheirGradientsBack) {
  // Two groups of two queries, one key and one value, heads of two elements: the layout of Falcon 40B.
  Matrix fused(1, 16, 1), q = Matrix::zero(1, 8), k = Matrix::zero(1, 4), back = Matrix::zero(1, 16);
  const HeadLayout queries{0, 2, 8}, keys{4, 1, 8};
  RopeArgs a{q.real(), fused.real(), {}, {}, nullptr, 2, 0, 1, false, {}, queries};
  run_reference(a);
  run_reference(RopeArgs{k.real(), fused.real(), {}, {}, nullptr, 2, 0, 1, false, {}, keys});
  const size_t q_at[] = {0, 1, 2, 3, 8, 9, 10, 11}, k_at[] = {4, 5, 12, 13};
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(q[i], fused[q_at[i]]);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(k[i], fused[k_at[i]]);
  run_reference(RopeArgs{back.real(), q.real(), {}, {}, nullptr, 2, 0, -1, false, queries, {}});
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(back[q_at[i]], q[i]);
}

struct RopeCase {
  int32_t head_dim, rotary_dim;
  bool interleaved;
};
class Rope : public ::testing::TestWithParam<RopeCase> {
 protected:
  Rope() {
    for (size_t i = 0; i < cos_.size(); ++i) {
      cos_[i] = std::cos(0.3f * static_cast<float>(i));
      sin_[i] = std::sin(0.3f * static_cast<float>(i));
    }
  }
  RopeArgs args(TensorView y, TensorView x, double sign) {
    const RopeCase c = GetParam();
    const Shape table{8, c.rotary_dim / 2};
    return {y,
            x,
            TensorView(cos_.data(), table, DType::f32),
            TensorView(sin_.data(), table, DType::f32),
            positions_.data(),
            c.head_dim,
            c.rotary_dim,
            sign,
            c.interleaved};
  }
  std::vector<float> cos_ = std::vector<float>(64), sin_ = std::vector<float>(64);
  std::vector<int32_t> positions_ = {0, 1, 2, 0, 7};
};
TEST_P(Rope, TurnsPairsAndBack) {
  const int64_t cols = 2 * GetParam().head_dim;
  Matrix x(kRows, cols, 1), y = Matrix::zero(kRows, cols), back = Matrix::zero(kRows, cols);
  run_reference(args(y.real(), x.real(), 1));
  run_reference(args(back.real(), y.real(), -1));
  double moved = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(back[i], x[i], 1e-6);  // the table is f32
    moved += std::abs(y[i] - x[i]);
  }
  EXPECT_GT(moved, 1);
}
TEST_P(Rope, BackwardMatchesComplexStep) {
  const int64_t cols = 2 * GetParam().head_dim;
  Matrix x(kRows, cols, 1), y = Matrix::zero(kRows, cols), seed(kRows, cols, 3),
                            dx = Matrix::zero(kRows, cols);
  run_reference(args(dx.real(), seed.real(), -1));
  expect_gradient(x, dx, [&](int64_t i) {
    run_reference(args(y.complex(), x.complex(i), 1));
    return weighted_sum(y, seed);
  });
}
INSTANTIATE_TEST_SUITE_P(Layouts, Rope,
                         ::testing::Values(RopeCase{6, 6, false}, RopeCase{6, 4, false},
                                           RopeCase{6, 4, true}));

class GatedActivation : public ::testing::TestWithParam<Activation> {};
TEST_P(GatedActivation, BackwardMatchesComplexStepAndMayOverwriteItsInputs) {
  Matrix gate(kRows, kCols, 1, 3), up(kRows, kCols, 2), seed(kRows, kCols, 3),
      y = Matrix::zero(kRows, kCols), dgate(kRows, kCols, 1, 3), dup(kRows, kCols, 2);
  run_reference(
      GatedActivationBwdArgs{dgate.real(), dup.real(), seed.real(), dgate.real(), dup.real(), GetParam()});
  const auto loss = [&](TensorView g, TensorView u) {
    run_reference(GatedActivationArgs{y.complex(), g, u, GetParam()});
    return weighted_sum(y, seed);
  };
  expect_gradient(gate, dgate, [&](int64_t i) { return loss(gate.complex(i), up.complex()); });
  expect_gradient(up, dup, [&](int64_t i) { return loss(gate.complex(), up.complex(i)); });
}
TEST_P(GatedActivation, WithoutAnUpIsTheActivationAlone) {
  Matrix x(kRows, kCols, 1, 3), seed(kRows, kCols, 3), y = Matrix::zero(kRows, kCols), dx(kRows, kCols, 1, 3);
  run_reference(GatedActivationBwdArgs{dx.real(), {}, seed.real(), dx.real(), {}, GetParam()});
  expect_gradient(x, dx, [&](int64_t i) {
    run_reference(GatedActivationArgs{y.complex(), x.complex(i), {}, GetParam()});
    return weighted_sum(y, seed);
  });
}
INSTANTIATE_TEST_SUITE_P(EachKind, GatedActivation,
                         ::testing::Values(Activation::silu, Activation::gelu_tanh, Activation::gelu,
                                           Activation::relu));

TEST(Activation, MatchesPyTorch) {  // torch.nn.functional at x = 1.5 and -0.5, float64
  EXPECT_NEAR(ref::activate(Activation::silu, 1.5).value, 1.2263617145, 1e-9);
  EXPECT_NEAR(ref::activate(Activation::gelu, -0.5).value, -0.1542687694, 1e-9);
  EXPECT_NEAR(ref::activate(Activation::gelu_tanh, -0.5).value, -0.1542859902, 1e-9);
  EXPECT_EQ(ref::activate(Activation::relu, -0.5).value, 0);
}

TEST(Dropout, KeepsTheMeanAndDependsOnTheKeyOnly) {
  const int64_t rows = 400, cols = 50;
  Matrix x = Matrix::zero(rows, cols), y = Matrix::zero(rows, cols), again = Matrix::zero(rows, cols),
         other = Matrix::zero(rows, cols);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1;
  std::vector<int32_t> positions(static_cast<size_t>(rows));
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i);
  const std::vector<RowSpan> spans = {{0, static_cast<int32_t>(rows), 0, static_cast<int32_t>(rows)}};
  const std::vector<int64_t> ids = {17};
  const MicroBatch batch{{positions}, positions, spans, {}, {}, ids};
  run_reference(DropoutArgs{y.real(), x.real(), 0.25, 1, 2, &batch, false});
  run_reference(DropoutArgs{again.real(), x.real(), 0.25, 1, 2, &batch, false});
  run_reference(DropoutArgs{other.real(), x.real(), 0.25, 1, 3, &batch, false});
  double sum = 0, zeros = 0, differ = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    sum += y[i];
    zeros += y[i] == 0;
    differ += y[i] != other[i];
    EXPECT_EQ(y[i], again[i]);
  }
  const auto n = static_cast<double>(y.size());
  EXPECT_NEAR(zeros / n, 0.25, 0.02);  // 6 standard deviations of 20,000 draws
  EXPECT_NEAR(sum / n, 1, 0.03);
  EXPECT_GT(differ / n, 0.3);
}

}  // namespace
}  // namespace lorikeet::testing
