// The kernels behind a mixture of experts against the portable ones.
#include "kernel_test_support.h"

namespace lorikeet::test {
namespace {

constexpr int64_t kTokens = 61, kTopK = 3, kRows = kTokens * kTopK;

/// Rows of tokens in some order; only `row` is read by what comes back from the experts.
struct Places {
  std::vector<int32_t> row;
  Places() {
    for (int64_t i = 0; i < kRows; ++i) row.push_back(static_cast<int32_t>(i * 50 % kRows));
  }
  ExpertRows rows() { return {kTopK, nullptr, row.data(), nullptr, nullptr}; }
};

TEST(CombineRowsKernels, MatchThePortableKernelWithAndWithoutResidualAndWeights) {
  Places places;
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes)
      for (const int64_t cols : {1, 37, 320})
        for (const bool all : {false, true}) {
          const Matrix x = Matrix::random(kRows, cols, type, 1, 1, 3),
                       residual = Matrix::random(kTokens, cols, type, 2),
                       weight = Matrix::random(kRows, 1, DType::f32, 3);
          Matrix y(kTokens, cols, type, 5), want(kTokens, cols, type);
          CombineRowsArgs a{y, {}, x, {}, places.rows()};
          if (all) {
            a.residual = residual;
            a.weight = weight;
          }
          run_row(name_of(isa), a);
          a.y = want;
          run_row(portable_name(type), a);
          EXPECT_LT(nmse(y, want), bound_of(type)) << name_of(isa) << " " << name_of(type) << " " << cols;
          EXPECT_TRUE(y.gaps_untouched());
        }
}

TEST(CombineRowsKernels, MayWriteOverTheResidual) {
  Places places;
  for (const Isa isa : simd_isas()) {
    const Matrix x = Matrix::random(kRows, 37, DType::bf16, 1);
    Matrix y = Matrix::random(kTokens, 37, DType::bf16, 2), apart(kTokens, 37, DType::bf16);
    run_row(name_of(isa), CombineRowsArgs{apart, y, x, {}, places.rows()});
    run_row(name_of(isa), CombineRowsArgs{y, y, x, {}, places.rows()});
    EXPECT_TRUE(y.same_bytes(apart)) << name_of(isa);
  }
}

TEST(RowWeightBwdKernels, MatchThePortableKernelInPlace) {
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes) {
      const Matrix x = Matrix::random(kRows, 77, type, 1), weight = Matrix::random(kRows, 1, DType::f32, 3);
      Matrix dy = Matrix::random(kRows, 77, type, 2), want = dy, dweight(kRows, 1, DType::f32),
             want_dweight(kRows, 1, DType::f32);
      run_row(name_of(isa), RowWeightBwdArgs{dy, dweight, dy, x, weight});
      run_row(portable_name(type), RowWeightBwdArgs{want, want_dweight, want, x, weight});
      EXPECT_LT(nmse(dy, want), bound_of(type)) << name_of(isa);
      EXPECT_LT(nmse(dweight, want_dweight), 1e-11) << name_of(isa);  // f32 sums of exact products
    }
}

}  // namespace
}  // namespace lorikeet::test
