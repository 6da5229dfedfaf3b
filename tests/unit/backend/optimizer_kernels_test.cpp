// Optimizer steps of each instruction set against the portable kernels.
#include "kernel_test_support.h"

namespace lorikeet::test {
namespace {

constexpr int64_t kCols[] = {1, 7, 64, 100, 576, 1031};

TEST(SquareSumKernels, MatchThePortableKernelWhateverTheThreads) {
  for (const Isa isa : simd_isas()) {
    const Matrix g = Matrix::random(7, 9001, DType::f32, 1);
    Matrix one = Matrix::filled(1, 1, DType::f64, 1), want = one, three = one;
    run_row(name_of(isa), SquareSumArgs{one, g}, 1);
    run_row(name_of(isa), SquareSumArgs{three, g}, 3);
    run_row("portable float32", SquareSumArgs{want, g});
    EXPECT_NEAR(one.at(0, 0) / want.at(0, 0), 1, 1e-12);
    EXPECT_TRUE(one.same_bytes(three));
  }
}

constexpr AdamWSettings kSettings{1e-3, 0.9, 0.999, 1e-8, 0.01, 0.7, 3};

TEST(AdamWKernels, EqualThePortableKernelBitForBit) {
  for (const Isa isa : simd_isas())
    for (const int64_t cols : kCols) {
      const Matrix g = Matrix::random(5, cols, DType::f32, 1);
      Matrix p = Matrix::random(5, cols, DType::f32, 2), m = Matrix::random(1, 5 * cols, DType::f32, 3);
      Matrix v = Matrix::filled(1, 5 * cols, DType::f32, 0.5), p2 = p, m2 = m, v2 = v;
      run_row(name_of(isa), AdamWArgs{p, g, m, v, kSettings, {}, BlockRange::all(p)});
      run_row("portable", AdamWArgs{p2, g, m2, v2, kSettings, {}, BlockRange::all(p)});
      EXPECT_TRUE(p.same_bytes(p2)) << name_of(isa);
      EXPECT_TRUE(m.same_bytes(m2)) << name_of(isa);
      EXPECT_TRUE(v.same_bytes(v2)) << name_of(isa);
    }
}

TEST(AdamWKernels, UpdateOnlyTheirBlocksOfStridedMatrices) {
  for (const Isa isa : simd_isas()) {
    const Matrix g = Matrix::random(5, 301, DType::f32, 1, 1, 3);
    Matrix p = Matrix::random(5, 301, DType::f32, 2, 1, 7), m = Matrix::filled(1, 1505, DType::f32, 0.1);
    const Matrix before = p;
    Matrix v = Matrix::filled(1, 1505, DType::f32, 0.5), p2 = p, m2 = m, v2 = v;
    run_row(name_of(isa), AdamWArgs{p, g, m, v, kSettings, {}, {1, 3}});
    run_row("portable", AdamWArgs{p2, g, m2, v2, kSettings, {}, {1, 3}});
    EXPECT_TRUE(p.same_bytes(p2)) << name_of(isa);
    EXPECT_TRUE(p.gaps_untouched());
    for (int64_t i = 0; i < 1505; ++i)
      EXPECT_EQ(p.at(i / 301, i % 301) != before.at(i / 301, i % 301), i >= 256 && i < 768) << i;
  }
}

TEST(AdamW8bitKernels, EqualThePortableKernelBitForBit) {
  for (const Isa isa : simd_isas())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int64_t gap : {0, 3}) {
        const Matrix g = Matrix::random(5, 301, DType::f32, 1, 1, gap);
        Matrix p = Matrix::random(5, 301, type, 2, 1, gap), p2 = p;
        std::vector<uint8_t> codes[2] = {std::vector<uint8_t>(1505, 7), std::vector<uint8_t>(1505, 9)},
                             codes2[2] = {codes[0], codes[1]};
        std::vector<float> absmax[2] = {std::vector<float>(6, 0.5F), std::vector<float>(6, 0.25F)},
                           absmax2[2] = {absmax[0], absmax[1]};
        const StochasticRounding rounding{5, 77};
        run_row(name_of(isa), AdamW8bitArgs{p,
                                            g,
                                            {codes[0].data(), absmax[0].data()},
                                            {codes[1].data(), absmax[1].data()},
                                            kSettings,
                                            rounding,
                                            {0, 6}});
        run_row("portable", AdamW8bitArgs{p2,
                                          g,
                                          {codes2[0].data(), absmax2[0].data()},
                                          {codes2[1].data(), absmax2[1].data()},
                                          kSettings,
                                          rounding,
                                          {0, 6}});
        EXPECT_TRUE(p.same_bytes(p2)) << name_of(isa) << name_of(type);
        EXPECT_EQ(codes[0], codes2[0]);
        EXPECT_EQ(codes[1], codes2[1]);
        EXPECT_EQ(absmax[0], absmax2[0]);
        EXPECT_EQ(absmax[1], absmax2[1]);
      }
}

TEST(SgdKernels, EqualThePortableKernelBitForBit) {
  for (const Isa isa : simd_isas())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int64_t cols : kCols) {
        const Matrix g = Matrix::random(5, cols, DType::f32, 1);
        Matrix p = Matrix::random(5, cols, type, 2), p2 = p;
        run_row(name_of(isa), SgdArgs{p, g, 0.1, 0.01, 0.7, {5, 77}, BlockRange::all(p)});
        run_row("portable", SgdArgs{p2, g, 0.1, 0.01, 0.7, {5, 77}, BlockRange::all(p)});
        EXPECT_TRUE(p.same_bytes(p2)) << name_of(isa) << name_of(type) << cols;
      }
}

}  // namespace
}  // namespace lorikeet::test
