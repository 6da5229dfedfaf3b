#include "ops/op_test.h"

namespace lorikeet::testing {
namespace {

struct AttentionCase {
  const char* name;
  std::vector<RowSpan> rows;
  int64_t queries, keys, window;
  double softcap;
};

class Attention : public ::testing::TestWithParam<AttentionCase> {
 protected:
  static constexpr Heads kHeads{4, 2, 3};
  const AttentionCase& c() const { return GetParam(); }
  Matrix q{c().queries, 12, 1}, k{c().keys, 6, 2}, v{c().keys, 6, 3}, seed{c().queries, 12, 4},
      o = Matrix::zero(c().queries, 12), lse = Matrix::zero(c().queries, 4);
  AttentionArgs args(TensorView o1, TensorView lse1, TensorView q1, TensorView k1, TensorView v1) {
    return {o1, lse1, q1, k1, v1, c().rows, kHeads, 0.7, c().window, c().softcap};
  }
};

TEST_P(Attention, BackwardMatchesComplexStep) {
  Matrix dq = Matrix::zero(c().queries, 12), dk = Matrix::zero(c().keys, 6), dv = Matrix::zero(c().keys, 6),
         delta = Matrix::zero(c().queries, 4);
  run_reference(args(o.real(), lse.real(), q.real(), k.real(), v.real()));
  run_reference(AttentionBwdArgs{dq.real(), dk.real(), dv.real(), delta.real(), seed.real(), o.real(),
                                 lse.real(), q.real(), k.real(), v.real(), c().rows, kHeads, 0.7, c().window,
                                 c().softcap});
  const auto loss = [&](TensorView q1, TensorView k1, TensorView v1) {
    run_reference(args(o.complex(), lse.complex(), q1, k1, v1));
    return weighted_sum(o, seed);
  };
  expect_gradient(q, dq, [&](int64_t i) { return loss(q.complex(i), k.complex(), v.complex()); });
  expect_gradient(k, dk, [&](int64_t i) { return loss(q.complex(), k.complex(i), v.complex()); });
  expect_gradient(v, dv, [&](int64_t i) { return loss(q.complex(), k.complex(), v.complex(i)); });
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    ::testing::Values(AttentionCase{"OneRow", {{0, 6, 0, 6}}, 6, 6, 0, 0},
                      AttentionCase{"RaggedRows", {{0, 3, 0, 3}, {3, 1, 3, 1}, {4, 4, 4, 4}}, 8, 8, 0, 0},
                      AttentionCase{"Window", {{0, 7, 0, 7}}, 7, 7, 3, 0},
                      AttentionCase{"SoftCap", {{0, 5, 0, 5}}, 5, 5, 0, 0.8},
                      AttentionCase{"WindowAndCapOverRows", {{0, 4, 0, 4}, {4, 5, 4, 5}}, 9, 9, 2, 1.5}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(AttentionWithACache, ContinuesWhereTheRowStopped) {
  const Heads heads{2, 1, 4};
  Matrix q(6, 8, 1), k(6, 4, 2), v(6, 4, 3), whole = Matrix::zero(6, 8), tail = Matrix::zero(2, 8);
  const std::vector<RowSpan> all = {{0, 6, 0, 6}}, last = {{0, 2, 0, 6}};
  run_reference(AttentionArgs{whole.real(), {}, q.real(), k.real(), v.real(), all, heads, 0.5, 0, 0});
  run_reference(
      AttentionArgs{tail.real(), {}, q.real().row_range(4, 2), k.real(), v.real(), last, heads, 0.5, 0, 0});
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(tail[i], whole[32 + i]);
}

TEST(AttentionOverRows, NeverCrossesThem) {
  const Heads heads{1, 1, 2};
  Matrix q(5, 2, 1), k(5, 2, 2), v(5, 2, 3), joined = Matrix::zero(5, 2), alone = Matrix::zero(2, 2);
  const std::vector<RowSpan> both = {{0, 3, 0, 3}, {3, 2, 3, 2}}, second = {{0, 2, 0, 2}};
  run_reference(AttentionArgs{joined.real(), {}, q.real(), k.real(), v.real(), both, heads, 1, 0, 0});
  run_reference(AttentionArgs{alone.real(),
                              {},
                              q.real().row_range(3, 2),
                              k.real().row_range(3, 2),
                              v.real().row_range(3, 2),
                              second,
                              heads,
                              1,
                              0,
                              0});
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(joined[6 + i], alone[i]);
}

}  // namespace
}  // namespace lorikeet::testing
