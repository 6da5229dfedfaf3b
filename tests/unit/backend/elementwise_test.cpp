#include "kernel_test_support.h"

namespace lorikeet::test {
namespace {

constexpr int64_t kCols[] = {1, 7, 64, 100, 576, 1031};

template <class F>
void for_each_case(const F& f) {
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(isa), name_of(type)));
      f(name_of(isa), type);
    }
}

TEST(RmsNormKernels, MatchThePortableKernel) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols)
      for (const DType weight_type : {DType::f32, DType::bf16, DType::f16}) {
        const Matrix x = Matrix::random(37, cols, type, 1, 2, 3), w = Matrix::random(1, cols, weight_type, 2);
        Matrix y(37, cols, type, 1), rstd(37, 1, DType::f32), want(37, cols, type),
            want_rstd(37, 1, DType::f32);
        run_row(row, RmsNormArgs{y, rstd, x, w, 1e-5, 1});
        run_row(portable_name(type), RmsNormArgs{want, want_rstd, x, w, 1e-5, 1});
        EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-6) << cols;
        EXPECT_LT(nmse(rstd, want_rstd), 1e-13) << cols;
        EXPECT_TRUE(y.gaps_untouched());
      }
  });
}

TEST(RmsNormBwdKernels, MatchThePortableKernelAlsoInPlace) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols)
      for (const bool accumulate : {false, true}) {
        const Matrix x = Matrix::random(600, cols, type, 1), w = Matrix::random(1, cols, DType::f32, 2);
        const Matrix dy = Matrix::random(600, cols, type, 3), rstd = Matrix::random(600, 1, DType::f32, 4);
        Matrix dx = Matrix::random(600, cols, type, 5), want = dx;
        Matrix dw = Matrix::random(1, cols, DType::f32, 6), want_dw = dw;
        run_row(row, RmsNormBwdArgs{dx, dw, dy, x, w, rstd, 0, accumulate});
        run_row(portable_name(type), RmsNormBwdArgs{want, want_dw, dy, x, w, rstd, 0, accumulate});
        EXPECT_LT(nmse(dx, want), type == DType::f32 ? 1e-12 : 1e-5) << cols;
        EXPECT_LT(nmse(dw, want_dw), 1e-12) << cols;
        if (accumulate) continue;
        Matrix in_place = dy;
        run_row(row, RmsNormBwdArgs{in_place, {}, in_place, x, w, rstd, 0, false});
        EXPECT_EQ(nmse(in_place, dx), 0) << cols;
      }
  });
}

TEST(LayerNormKernels, MatchThePortableKernelWithAndWithoutABias) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols)
      for (const bool biased : {false, true}) {
        const Matrix x = Matrix::random(37, cols, type, 1, 2, 3), w = Matrix::random(1, cols, DType::bf16, 2),
                     bias = Matrix::random(1, cols, DType::f32, 3);
        Matrix y(37, cols, type, 1), stats(37, 2, DType::f32), want(37, cols, type),
            want_stats(37, 2, DType::f32);
        const TensorView b = biased ? bias.view() : TensorView{};
        run_row(row, LayerNormArgs{y, stats, x, w, b, 1e-3});
        run_row(portable_name(type), LayerNormArgs{want, want_stats, x, w, b, 1e-3});
        EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-12 : 1e-5) << cols;
        EXPECT_LT(nmse(stats, want_stats), 1e-12) << cols;
        EXPECT_TRUE(y.gaps_untouched());
      }
  });
}

TEST(LayerNormBwdKernels, MatchThePortableKernelAlsoInPlace) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols)
      for (const bool accumulate : {false, true}) {
        const Matrix x = Matrix::random(600, cols, type, 1), w = Matrix::random(1, cols, DType::f32, 2);
        const Matrix dy = Matrix::random(600, cols, type, 3), stats = Matrix::random(600, 2, DType::f32, 4);
        Matrix dx = Matrix::random(600, cols, type, 5), want = dx;
        Matrix dw = Matrix::random(1, cols, DType::f32, 6), want_dw = dw;
        run_row(row, LayerNormBwdArgs{dx, dw, dy, x, w, stats, accumulate});
        run_row(portable_name(type), LayerNormBwdArgs{want, want_dw, dy, x, w, stats, accumulate});
        EXPECT_LT(nmse(dx, want), type == DType::f32 ? 1e-11 : 1e-5) << cols;
        EXPECT_LT(nmse(dw, want_dw), 1e-11) << cols;
        if (accumulate) continue;
        Matrix in_place = dy;
        run_row(row, LayerNormBwdArgs{in_place, {}, in_place, x, w, stats, false});
        EXPECT_EQ(nmse(in_place, dx), 0) << cols;
      }
  });
}

TEST(AddKernels, MatchThePortableKernelAlsoInPlace) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols) {
      const Matrix a = Matrix::random(9, cols, type, 1), b = Matrix::random(9, cols, type, 2, 1, 2);
      Matrix y(9, cols, type, 1), want(9, cols, type), over = a;
      run_row(row, AddArgs{y, a, b, 0.22});
      run_row(portable_name(type), AddArgs{want, a, b, 0.22});
      run_row(row, AddArgs{over, over, b, 0.22});
      EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-5) << cols;
      EXPECT_EQ(nmse(over, y), 0) << cols;
      EXPECT_TRUE(y.gaps_untouched());
    }
  });
}

TEST(LogitCapKernels, MatchThePortableKernelInPlace) {
  for (const Isa isa : simd_isas())
    for (const double softcap : {0.0, 5.0})
      for (const int64_t cols : kCols) {
        Matrix x = Matrix::random(3, cols, DType::f32, 1, 9), want(3, cols, DType::f32);
        run_row("portable float32", LogitCapArgs{want, x, 0.5, softcap});
        run_row(name_of(isa), LogitCapArgs{x, x, 0.5, softcap});
        EXPECT_LT(nmse(x, want), 1e-12) << name_of(isa) << cols;
      }
}

TEST(RopeKernels, MatchThePortableKernelInAFusedProjection) {
  for_each_case([](const char* row, DType type) {
    const int dim = 24, rotary = 18;  // two groups of three queries, a key and a value
    const Matrix x = Matrix::random(5, 10 * dim, type, 1), d = Matrix::random(5, 6 * dim, type, 4);
    const Matrix cos = Matrix::random(5, rotary / 2, DType::f32, 2),
                 sin = Matrix::random(5, rotary / 2, DType::f32, 3);
    const int32_t at[] = {0, 1, 2, 3, 4};
    const HeadLayout queries{0, 3, 5 * dim};
    Matrix y(5, 6 * dim, type), want(5, 6 * dim, type), dx = x, want_dx = x;
    run_row(row, RopeArgs{y, x, cos, sin, at, dim, rotary, 1, false, {}, queries});
    run_row(portable_name(type), RopeArgs{want, x, cos, sin, at, dim, rotary, 1, false, {}, queries});
    run_row(row, RopeArgs{dx, d, cos, sin, at, dim, rotary, -1, false, queries, {}});
    run_row(portable_name(type), RopeArgs{want_dx, d, cos, sin, at, dim, rotary, -1, false, queries, {}});
    EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-5);
    EXPECT_LT(nmse(dx, want_dx), type == DType::f32 ? 1e-13 : 1e-5);
    EXPECT_EQ(dx.at(0, 3 * dim), x.at(0, 3 * dim)) << "the key's columns are somebody else's";
  });
}

TEST(RopeKernels, MatchThePortableKernelForPartOfAHead) {
  for_each_case([](const char* row, DType type) {
    for (const int dim : {16, 64, 96, 128})
      for (const int rotary : {dim, dim / 2, 6}) {
        const Matrix x = Matrix::random(19, 3 * dim, type, 1, 1, 2);
        const Matrix cos = Matrix::random(50, rotary / 2, DType::f32, 2),
                     sin = Matrix::random(50, rotary / 2, DType::f32, 3);
        std::vector<int32_t> at;
        for (int i = 0; i < 19; ++i) at.push_back((i * 7) % 50);
        Matrix y(19, 3 * dim, type, 1), want(19, 3 * dim, type);
        RopeArgs a{y, x, cos, sin, at.data(), dim, rotary, -1, false};
        run_row(row, a);
        a.y = want;
        run_row(portable_name(type), a);
        EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-5) << dim << " " << rotary;
        Matrix in_place = x;
        a.x = a.y = in_place;
        run_row(row, a);
        EXPECT_EQ(nmse(in_place, y), 0);
      }
  });
}

TEST(GatedActivationKernels, MatchThePortableKernelForEveryActivation) {
  for_each_case([](const char* row, DType type) {
    for (const Activation kind :
         {Activation::silu, Activation::gelu_tanh, Activation::gelu, Activation::relu})
      for (const int64_t cols : kCols) {
        const Matrix gate = Matrix::random(23, cols, type, 1, 4), up = Matrix::random(23, cols, type, 2),
                     dy = Matrix::random(23, cols, type, 3);
        Matrix y(23, cols, type, 3), want(23, cols, type);
        run_row(row, GatedActivationArgs{y, gate, up, kind});
        run_row(portable_name(type), GatedActivationArgs{want, gate, up, kind});
        EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-12 : 1e-5) << static_cast<int>(kind);
        EXPECT_TRUE(y.gaps_untouched());
        Matrix g = gate, u = up, want_g(23, cols, type), want_u(23, cols, type);
        run_row(row, GatedActivationBwdArgs{g, u, dy, g, u, kind});
        run_row(portable_name(type), GatedActivationBwdArgs{want_g, want_u, dy, gate, up, kind});
        EXPECT_LT(nmse(g, want_g), type == DType::f32 ? 1e-12 : 1e-5) << static_cast<int>(kind);
        EXPECT_LT(nmse(u, want_u), type == DType::f32 ? 1e-12 : 1e-5) << static_cast<int>(kind);
        Matrix alone = gate, want_alone(23, cols, type);
        run_row(row, GatedActivationArgs{y, gate, {}, kind});
        run_row(portable_name(type), GatedActivationArgs{want, gate, {}, kind});
        EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-12 : 1e-5) << static_cast<int>(kind);
        run_row(row, GatedActivationBwdArgs{alone, {}, dy, alone, {}, kind});
        run_row(portable_name(type), GatedActivationBwdArgs{want_alone, {}, dy, gate, {}, kind});
        EXPECT_LT(nmse(alone, want_alone), type == DType::f32 ? 1e-12 : 1e-5) << static_cast<int>(kind);
      }
  });
}

TEST(GatedActivationKernels, StayFiniteFarFromZero) {
  for_each_case([](const char* row, DType type) {
    Matrix gate = Matrix::filled(1, 6, type, 1);
    const double far[] = {-1e30, -200, -89, 89, 200, 1e30};
    for (int i = 0; i < 6; ++i) set_value(gate, 0, i, far[i]);
    const Matrix up = Matrix::filled(1, 6, type, 1);
    for (const Activation kind : {Activation::silu, Activation::gelu_tanh}) {
      Matrix y(1, 6, type);
      run_row(row, GatedActivationArgs{y, gate, up, kind});
      for (int i = 0; i < 6; ++i)
        EXPECT_NEAR(y.at(0, i), std::max(gate.at(0, i), 0.0),
                    1e-30 + std::abs(gate.at(0, i)) * 1e-30 * (far[i] < 0 ? 1 : 0))
            << i;
    }
  });
}

TEST(CrossEntropyKernels, MatchThePortableKernelInPlace) {
  for_each_case([](const char* row, DType type) {
    for (const double softcap : {0.0, 5.0})
      for (const int64_t vocab : {2L, 100L, 4097L}) {
        const Matrix logits = Matrix::random(9, vocab, DType::f32, 1, 3);
        std::vector<int32_t> target;
        for (int i = 0; i < 9; ++i) target.push_back(static_cast<int32_t>((i * 37) % vocab));
        Matrix loss(9, 1, DType::f64), want_loss(9, 1, DType::f64), want(9, vocab, type), in_place = logits;
        Matrix sum = Matrix::filled(1, 1, DType::f64, 3), want_sum = sum;
        int64_t correct = 5, want_correct = 5;
        TensorView overlaid(in_place.view().data, {9, vocab}, type);
        overlaid.stride = type == DType::bf16 ? 2 * vocab : vocab;
        run_row(row,
                CrossEntropyArgs{overlaid, loss, sum, in_place, target.data(), &correct, 0.25, 1.5, softcap});
        run_row("portable float32", CrossEntropyArgs{want, want_loss, want_sum, logits, target.data(),
                                                     &want_correct, 0.25, 1.5, softcap});
        EXPECT_LT(nmse(overlaid, want), type == DType::f32 ? 1e-11 : 1e-5) << vocab;
        EXPECT_LT(nmse(loss, want_loss), 1e-12) << vocab;
        EXPECT_NEAR(sum.at(0, 0), want_sum.at(0, 0), 1e-5) << vocab;
        EXPECT_EQ(correct, want_correct);
      }
  });
}

TEST(CrossEntropyKernels, CountTheFirstOfEqualLogits) {
  for (const Isa isa : simd_isas()) {
    const Matrix logits = Matrix::filled(2, 70, DType::f32, 1);
    const int32_t target[] = {0, 69};
    Matrix loss(2, 1, DType::f64), sum = Matrix::filled(1, 1, DType::f64, 0);
    int64_t correct = 0;
    run_row(name_of(isa), CrossEntropyArgs{{}, loss, sum, logits, target, &correct, 1, 1, 0});
    EXPECT_EQ(correct, 1);
    EXPECT_NEAR(sum.at(0, 0), 2 * std::log(70.0), 1e-6);
  }
}

TEST(EmbeddingKernels, MatchThePortableKernelInEveryFormat) {
  for_each_case([](const char* row, DType type) {
    for (const WeightFormat format :
         {WeightFormat::dense, WeightFormat::bnb4, WeightFormat::q8_0, WeightFormat::q6_k}) {
      const OwnedWeight table = random_weight(format, 40, 512, 1, {.dtype = DType::bf16, .misaligned = 1});
      const int32_t tokens[] = {3, 39, 0, 3};
      Matrix y(4, 512, type, 2), want(4, 512, type);
      run_row(row, EmbeddingArgs{y, &table.w, tokens, 2});
      run_row(portable_name(type), EmbeddingArgs{want, &table.w, tokens, 2});
      EXPECT_EQ(nmse(y, want), 0) << static_cast<int>(format);
      run_row(row, EmbeddingArgs{y, &table.w, tokens, 1, true});
      run_row(portable_name(type), EmbeddingArgs{want, &table.w, tokens, 1, true});
      EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-5) << static_cast<int>(format);
    }
  });
}

TEST(EmbeddingBwdKernels, AddRepeatedTokens) {
  for_each_case([](const char* row, DType type) {
    const Matrix dy = Matrix::random(5, 100, type, 1);
    const int32_t tokens[] = {3, 1, 3, 3, 0};
    Matrix d = Matrix::random(4, 100, DType::f32, 2), want = d;
    run_row(row, EmbeddingBwdArgs{d, dy, tokens, 0.5});
    run_row(portable_name(type), EmbeddingBwdArgs{want, dy, tokens, 0.5});
    EXPECT_LT(nmse(d, want), 1e-13);
  });
}

TEST(ColumnSumKernels, MatchThePortableKernel) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols) {
      const Matrix dy = Matrix::random(1030, cols, type, 1, 1, 1);
      Matrix db = Matrix::random(1, cols, DType::f32, 2), want = db;
      run_row(row, ColumnSumArgs{db, dy, {}, {}});
      run_row(portable_name(type), ColumnSumArgs{want, dy, {}, {}});
      EXPECT_LT(nmse(db, want), 1e-11);
    }
  });
}

TEST(ColumnSumKernels, WeightTheSumsOfProducts) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols) {
      const Matrix dy = Matrix::random(1030, cols, type, 1, 1, 1),
                   x = Matrix::random(1030, cols, type, 3, 1, 2),
                   weight = Matrix::random(1, cols, DType::f32, 4);
      Matrix db = Matrix::random(1, cols, DType::f32, 2), want = db;
      run_row(row, ColumnSumArgs{db, dy, x, weight});
      run_row(portable_name(type), ColumnSumArgs{want, dy, x, weight});
      EXPECT_LT(nmse(db, want), 1e-11) << cols;
    }
  });
}

TEST(ScaleColumnsKernels, MatchThePortableKernelAlsoInPlace) {
  for_each_case([](const char* row, DType type) {
    for (const int64_t cols : kCols) {
      const Matrix x = Matrix::random(23, cols, type, 1, 1, 2), residual = Matrix::random(23, cols, type, 2),
                   scale = Matrix::random(1, cols, DType::f32, 3),
                   bias = Matrix::random(1, cols, DType::f32, 4);
      Matrix y(23, cols, type, 3), want(23, cols, type), in_place = x;
      run_row(row, ScaleColumnsArgs{y, x, scale, -1, bias, residual});
      run_row(portable_name(type), ScaleColumnsArgs{want, x, scale, -1, bias, residual});
      EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-12 : 1e-5) << cols;
      EXPECT_TRUE(y.gaps_untouched());
      run_row(row, ScaleColumnsArgs{in_place, in_place, scale, 0, {}, {}});
      run_row(portable_name(type), ScaleColumnsArgs{want, x, scale, 0, {}, {}});
      EXPECT_LT(nmse(in_place, want), type == DType::f32 ? 1e-13 : 1e-5) << cols;
    }
  });
}

TEST(DoraScaleKernels, MatchThePortableKernelInEveryFormat) {
  for_each_case([](const char* row, DType type) {
    for (const WeightFormat format :
         {WeightFormat::dense, WeightFormat::bnb4, WeightFormat::q4_0, WeightFormat::q6_k}) {
      constexpr int64_t kOut = 37, kIn = 768;
      const OwnedWeight w =
          random_weight(format, kOut, kIn, 1, {.dtype = DType::bf16, .mapped_rows = true, .misaligned = 1});
      const Matrix a = Matrix::random(16, kIn, type, 2, 0.1), b = Matrix::random(kOut, 16, type, 3, 0.1),
                   magnitude = Matrix::random(1, kOut, DType::f32, 4);
      Matrix norm(1, kOut, DType::f32), scale(1, kOut, DType::f32), want_norm(1, kOut, DType::f32),
          want_scale(1, kOut, DType::f32);
      run_row(row, DoraScaleArgs{norm, scale, magnitude, &w.w, a, b});
      run_row(portable_name(type), DoraScaleArgs{want_norm, want_scale, magnitude, &w.w, a, b});
      EXPECT_LT(nmse(norm, want_norm), 1e-12) << static_cast<int>(format);  // f32 sums of 768 squares
      EXPECT_LT(nmse(scale, want_scale), 1e-12) << static_cast<int>(format);
    }
  });
}

TEST(DoraScaleKernels, LeaveARowOfZerosAtZero) {
  for_each_case([](const char* row, DType type) {
    const Matrix w = Matrix::filled(1, 70, DType::f32, 0), a = Matrix::filled(16, 70, type, 1),
                 b = Matrix::filled(1, 16, type, 0), magnitude = Matrix::filled(1, 1, DType::f32, 3);
    const Weight weight = Weight::dense(w);
    Matrix norm(1, 1, DType::f32), scale(1, 1, DType::f32);
    run_row(row, DoraScaleArgs{norm, scale, magnitude, &weight, a, b});
    EXPECT_EQ(norm.at(0, 0), 0);
    EXPECT_EQ(scale.at(0, 0), 0);
  });
}

TEST(CastKernels, EqualThePortableKernelForEveryPairOfTypes) {
  for (const Isa isa : simd_isas())
    for (const DType from : {DType::f32, DType::bf16, DType::f16})
      for (const DType to : {DType::f32, DType::bf16, DType::f16})
        for (const int64_t cols : kCols) {
          const Matrix x = Matrix::random(3, cols, from, 1, 1, 1);
          Matrix y(3, cols, to, 1), want(3, cols, to, 1);
          run_row(name_of(isa), CastArgs{y, x, 2});
          run_row("portable", CastArgs{want, x, 2});
          EXPECT_TRUE(y.same_bytes(want)) << name_of(isa) << name_of(from) << name_of(to) << cols;
        }
}

/// Two rows, of three tokens and of two.
struct TwoRows {
  std::vector<int32_t> positions = {0, 1, 2, 0, 1}, tokens = std::vector<int32_t>(5);
  std::vector<RowSpan> rows = {{0, 3, 0, 3}, {3, 2, 3, 2}};
  std::vector<int64_t> ids = {17, 4};
  MicroBatch view() const {
    MicroBatch batch;
    batch.tokens = tokens;
    batch.positions = positions;
    batch.rows = rows;
    batch.row_ids = ids;
    return batch;
  }
};

TEST(DropoutKernels, DrawTheSameMaskAsThePortableKernel) {
  const TwoRows rows;
  const MicroBatch batch = rows.view();
  for_each_case([&](const char* row, DType type) {
    for (const int64_t cols : kCols)
      for (const bool accumulate : {false, true}) {
        const Matrix x = Matrix::random(5, cols, type, 1);
        Matrix y = Matrix::random(5, cols, type, 2), want = y;
        DropoutArgs a{y, x, 0.3, 5, 99, &batch, accumulate, accumulate ? -1.0 : 1.0};
        run_row(row, a);
        a.y = want;
        run_row(portable_name(type), a);
        EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-5) << cols;
      }
  });
}

TEST(NoiseKernels, DrawTheSameNoiseAsThePortableKernel) {
  const TwoRows rows;
  const MicroBatch batch = rows.view();
  for_each_case([&](const char* row, DType type) {
    for (const int64_t cols : kCols) {
      Matrix y = Matrix::random(5, cols, type, 2), want = y;
      NoiseArgs a{y, 5, 7, 99, &batch};
      run_row(row, a);
      a.y = want;
      run_row(portable_name(type), a);
      EXPECT_LT(nmse(y, want), type == DType::f32 ? 1e-13 : 1e-5) << cols;
    }
  });
}

TEST(NoiseKernels, AreUniformUpToAlphaOverTheRootOfTokensTimesChannels) {
  constexpr int64_t kChannels = 1031;
  const TwoRows rows;
  const MicroBatch batch = rows.view();
  Matrix y = Matrix::filled(5, kChannels, DType::f32, 0);
  run_row("portable float32", NoiseArgs{y, 5, 7, 99, &batch});
  for (const RowSpan& span : rows.rows) {
    const double bound = 5 / std::sqrt(static_cast<double>(span.q_count * kChannels));
    double squares = 0, sum = 0, largest = 0;
    for (int64_t n = span.q_begin; n < span.q_begin + span.q_count; ++n)
      for (int64_t k = 0; k < kChannels; ++k) {
        squares += y.at(n, k) * y.at(n, k);
        sum += y.at(n, k);
        largest = std::max(largest, std::abs(y.at(n, k)));
      }
    const auto count = static_cast<double>(span.q_count * kChannels);
    EXPECT_LE(largest, bound);
    EXPECT_GT(largest, 0.99 * bound);
    EXPECT_NEAR(squares / count * 3 / (bound * bound), 1, 0.08);  // 2,000 draws: deviation 0.02
    EXPECT_NEAR(sum / count, 0, 0.06 * bound);                    // deviation 0.013
  }
}

}  // namespace
}  // namespace lorikeet::test
