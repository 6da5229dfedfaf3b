#include "kernel_test_support.h"

namespace lorikeet::test {
namespace {

struct Size {
  int64_t tokens, out, in, rank;
};
// Multiples of everything, of nothing, single rows and columns, contractions of more than one block.
constexpr Size kSizes[] = {{96, 128, 192, 16}, {1, 64, 576, 16}, {7, 33, 65, 16},  {50, 1, 3, 0},
                           {130, 100, 37, 48}, {3, 70, 6000, 0}, {9, 20, 9001, 32}};

struct Storage {
  WeightFormat format;
  WeightOptions options;
  int64_t multiple;  // of columns
  int64_t rows_multiple = 1;
};
const Storage kStorages[] = {
    {WeightFormat::dense, {.dtype = DType::f32}, 1},
    {WeightFormat::dense, {.dtype = DType::bf16, .misaligned = 1}, 1},
    {WeightFormat::dense, {.dtype = DType::f16, .mapped_rows = true}, 1},
    {WeightFormat::bnb4, {.blocksize = 64}, 64},
    {WeightFormat::bnb4, {.blocksize = 64, .nested = true}, 64},
    {WeightFormat::bnb4, {.blocksize = 256, .nested = true, .mapped_rows = true}, 64},
    {WeightFormat::bnb4, {.blocksize = 64, .nested = true}, 1},
    {WeightFormat::bnb4, {.blocksize = 32}, 8},
    {WeightFormat::q4_0, {}, 32},
    {WeightFormat::q4_1, {}, 32},
    {WeightFormat::q5_0, {}, 32},
    {WeightFormat::q5_1, {}, 32},
    {WeightFormat::q8_0, {.mapped_rows = true}, 32},
    {WeightFormat::q4_k, {}, 256},
    {WeightFormat::q5_k, {}, 256},
    {WeightFormat::q6_k, {}, 256},
    {WeightFormat::gptq, {.bits = 4, .zero_offset = 1, .group_size = 128}, 32},
    {WeightFormat::gptq, {.bits = 2, .group_size = 32, .scale_type = DType::bf16}, 32, 32},
    {WeightFormat::gptq, {.bits = 3, .zero_offset = 1, .group_size = 64, .act_order = true}, 32, 32},
    {WeightFormat::gptq, {.bits = 8, .group_size = 32, .act_order = true, .scale_type = DType::f32}, 32, 32},
    {WeightFormat::awq, {.group_size = 64}, 32, 8},
    {WeightFormat::awq, {.group_size = 32}, 32, 32},
};

int64_t round_up(int64_t x, int64_t m) { return (x + m - 1) / m * m; }

template <class F>
void for_each_case(const F& f) {
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes) f(isa, type);
}

TEST(LinearKernels, MatchThePortableKernelInEveryFormatAndSize) {
  for_each_case([](Isa isa, DType type) {
    for (const Storage& storage : kStorages)
      for (const Size& s : kSizes) {
        const int64_t in = round_up(s.in, storage.multiple), out = round_up(s.out, storage.rows_multiple);
        SCOPED_TRACE(fmt::format("{} {} format {} tokens {} out {} in {}", name_of(isa), name_of(type),
                                 static_cast<int>(storage.format), s.tokens, out, in));
        const OwnedWeight w = random_weight(storage.format, out, in, 1, storage.options);
        const Matrix x = Matrix::random(s.tokens, in, type, 2, 1, 3),
                     residual = Matrix::random(s.tokens, out, type, 3);
        const Matrix bias = Matrix::random(1, out, DType::f32, 4);
        const Matrix low = Matrix::random(s.tokens, std::max<int64_t>(s.rank, 1), type, 5),
                     b = Matrix::random(out, std::max<int64_t>(s.rank, 1), type, 6, 0.1);
        Matrix y(s.tokens, out, type, 5), want(s.tokens, out, type);
        LinearArgs a{y, x, &w.w, bias, residual, {}, {}};
        if (s.rank) {
          a.low = low;
          a.lora_b = b;
        }
        run_row(name_of(isa), a);
        a.y = want;
        run_row(portable_name(type), a);
        EXPECT_LT(nmse(y, want), bound_of(type));
        EXPECT_TRUE(y.gaps_untouched());
      }
  });
}

TEST(LinearKernels, WriteF32LogitsFromBf16) {
  for (const Isa isa : simd_isas()) {
    const OwnedWeight w = random_weight(WeightFormat::dense, 301, 64, 1, {.dtype = DType::bf16});
    const Matrix x = Matrix::random(20, 64, DType::bf16, 2);
    Matrix y(20, 301, DType::f32), want(20, 301, DType::f32);
    run_row(name_of(isa), LinearArgs{y, x, &w.w, {}, {}, {}, {}});
    run_row("portable bfloat16", LinearArgs{want, x, &w.w, {}, {}, {}, {}});
    EXPECT_LT(nmse(y, want), 1e-11) << name_of(isa);  // bf16 operands are exact, the sum is f32
  }
}

TEST(LinearKernels, GiveARowTheSameBitsWhateverRowsAreBesideIt) {
  for_each_case([](Isa isa, DType type) {
    for (const Storage& storage : kStorages) {
      // More than a packed block, and no multiple of the columns that a kernel takes at a time.
      const int64_t in = round_up(4960, storage.multiple), out = round_up(75, storage.rows_multiple);
      const OwnedWeight w = random_weight(storage.format, out, in, 1, storage.options);
      const Matrix x = Matrix::random(131, in, type, 2);
      Matrix all(131, out, type);
      run_row(name_of(isa), LinearArgs{all, x, &w.w, {}, {}, {}, {}}, 3);
      for (const int64_t n : {1, 5, 40, 64}) {
        Matrix some(n, out, type);
        run_row(name_of(isa), LinearArgs{some, x.view().row_range(60, n), &w.w, {}, {}, {}, {}}, 2);
        for (int64_t r = 0; r < n; ++r)
          for (int64_t c = 0; c < out; ++c)
            ASSERT_EQ(some.at(r, c), all.at(60 + r, c))
                << name_of(isa) << " format " << static_cast<int>(storage.format) << " rows " << n;
      }
    }
  });
}

TEST(LinearKernels, SeeEveryWeightWithTheBitsOfItsDecoder) {
  for_each_case([](Isa isa, DType type) {
    for (const Storage& storage : kStorages) {
      const int64_t in = round_up(320, storage.multiple);
      const OwnedWeight w = random_weight(storage.format, 37, in, 1, storage.options);
      const Matrix one_hot = Matrix::filled(in, in, type, 0);
      for (int64_t k = 0; k < in; ++k) set_value(one_hot.view(), k, k, 1);
      Matrix want(in, 37, type);
      run_row(portable_name(type), LinearArgs{want, one_hot, &w.w, {}, {}, {}, {}});
      // Kernels for few rows see every 29th weight of a row, those for many see all.
      for (const auto& [n, step] : {std::pair<int64_t, int64_t>{1, 29}, {3, 29}, {in, in}})
        for (int64_t r = 0; r + n <= in; r += step) {
          Matrix y(n, 37, type);
          run_row(name_of(isa), LinearArgs{y, one_hot.view().row_range(r, n), &w.w, {}, {}, {}, {}});
          for (int64_t k = 0; k < n; ++k)
            for (int64_t c = 0; c < 37; ++c)
              ASSERT_EQ(y.at(k, c), want.at(r + k, c))
                  << name_of(isa) << " format " << static_cast<int>(storage.format) << " rows " << n
                  << " column " << r + k << " of row " << c;
        }
    }
  });
}

TEST(LinearKernels, RoundTheWeightsOfALoneRowAtMostOnce) {
  for_each_case([](Isa isa, DType type) {
    for (const Storage& storage : kStorages)
      for (const int64_t at_least : {64, 4960}) {
        const int64_t in = round_up(at_least, storage.multiple), out = round_up(75, storage.rows_multiple);
        const OwnedWeight w = random_weight(storage.format, out, in, 1, storage.options);
        const Matrix x = Matrix::random(1, in, type, 2);
        Matrix y(1, out, DType::f32);
        LinearArgs args{y, x, &w.w, {}, {}, {}, {}};
        args.lone = true;
        run_row(name_of(isa), args, 2);
        std::vector<float> row(static_cast<size_t>(in));
        for (int64_t o = 0; o < out; ++o) {
          decode_rows(w.w, o, o + 1, 0, in, row.data(), in);
          double sum = 0, size = 0;
          for (int64_t k = 0; k < in; ++k) {
            const double product = row[static_cast<size_t>(k)] * static_cast<double>(x.at(0, k));
            sum += product;
            size += std::abs(product);
          }
          // A weight or its code is rounded to bf16 once, by at most 2^-8 of itself and in sums of random
          // signs by less than half of that; the sum is in f32.
          EXPECT_NEAR(y.at(0, o), sum, size * 0x1p-9)
              << name_of(isa) << " format " << static_cast<int>(storage.format) << " output " << o;
        }
      }
  });
}

TEST(LinearKernels, NeedTheSameWorkspaceForALoneRowAsForItsPlan) {
  const OwnedWeight w = random_weight(WeightFormat::bnb4, 70, 640, 1);
  const Matrix x = Matrix::random(700, 640, DType::bf16, 2);
  Matrix y(700, 70, DType::bf16);
  for (const Isa isa : {Isa::avx512bf16, Isa::avx512, Isa::avx2}) {
    const auto bytes = [&](int64_t n, int64_t planned) {
      LinearArgs a{y.view().row_range(0, n), x.view().row_range(0, n), &w.w, {}, {}, {}, {}, planned};
      a.lone = true;
      return row_named<LinearArgs>(name_of(isa)).workspace_bytes(a, 2);
    };
    EXPECT_EQ(bytes(1, 700), bytes(700, 0));
    EXPECT_EQ(bytes(3, 700), bytes(700, 0));
  }
}

TEST(LinearKernels, NeedTheSameWorkspaceForAnyPartOfThePlannedRowsAndGiveTheSameBits) {
  for_each_case([](Isa isa, DType type) {
    constexpr int64_t kPlanned = 700;
    for (const int64_t in : {37, 5952}) {  // one packed block, and more of them than one
      const OwnedWeight w = random_weight(WeightFormat::dense, 70, in, 1, {.dtype = DType::bf16});
      const Matrix x = Matrix::random(kPlanned, in, type, 2), dy = Matrix::random(kPlanned, 70, type, 3);
      Matrix y(kPlanned, 70, type), dx(kPlanned, in, type);
      const auto forward = [&](int64_t n, int64_t planned) {
        return LinearArgs{y.view().row_range(0, n), x.view().row_range(0, n), &w.w, {}, {}, {}, {}, planned};
      };
      const auto backward = [&](int64_t n, int64_t planned) {
        return LinearDxArgs{
            dx.view().row_range(0, n), false, 1, {dy.view().row_range(0, n)}, {&w.w}, {}, {}, planned};
      };
      for (const int threads : {1, 3}) {
        const auto bytes = [&](const auto& a) {
          return row_named<std::decay_t<decltype(a)>>(name_of(isa)).workspace_bytes(a, threads);
        };
        for (int64_t n = 1; n <= kPlanned; ++n) {
          ASSERT_EQ(bytes(forward(n, kPlanned)), bytes(forward(kPlanned, 0))) << n << " rows of " << in;
          ASSERT_EQ(bytes(backward(n, kPlanned)), bytes(backward(kPlanned, 0))) << n << " rows of " << in;
        }
        for (const int64_t n : {1, 3, 25, 47, 48, 49, 96, 383}) {
          run_row(name_of(isa), forward(n, 0), threads);
          run_row(name_of(isa), backward(n, 0), threads);
          const Matrix wanted_y = y, wanted_dx = dx;
          run_row(name_of(isa), forward(n, kPlanned), threads);
          run_row(name_of(isa), backward(n, kPlanned), threads);
          EXPECT_TRUE(y.same_bytes(wanted_y)) << n << " rows of " << in;
          EXPECT_TRUE(dx.same_bytes(wanted_dx)) << n << " rows of " << in;
        }
      }
    }
  });
}

TEST(LinearKernels, DoNotDependOnTheNumberOfThreads) {
  for_each_case([](Isa isa, DType type) {
    const OwnedWeight w = random_weight(WeightFormat::bnb4, 333, 640, 1);
    const Matrix x = Matrix::random(300, 640, type, 2), dy = Matrix::random(300, 333, type, 3);
    Matrix y1(300, 333, type), dx1(300, 640, type);
    run_row(name_of(isa), LinearArgs{y1, x, &w.w, {}, {}, {}, {}}, 1);
    run_row(name_of(isa), LinearDxArgs{dx1, false, 1, {dy}, {&w.w}, {}, {}}, 1);
    for (const int threads : {2, 3}) {
      Matrix y(300, 333, type), dx(300, 640, type);
      run_row(name_of(isa), LinearArgs{y, x, &w.w, {}, {}, {}, {}}, threads);
      run_row(name_of(isa), LinearDxArgs{dx, false, 1, {dy}, {&w.w}, {}, {}}, threads);
      EXPECT_TRUE(y.same_bytes(y1)) << name_of(isa);
      EXPECT_TRUE(dx.same_bytes(dx1)) << name_of(isa);
    }
  });
}

TEST(LinearDxKernels, MatchThePortableKernelInEveryFormatAndSize) {
  for_each_case([](Isa isa, DType type) {
    for (const Storage& storage : kStorages)
      for (const Size& s : kSizes) {
        const int64_t in = round_up(std::min<int64_t>(s.in, 600), storage.multiple),
                      out = round_up(s.out, storage.rows_multiple);
        SCOPED_TRACE(fmt::format("{} {} format {} tokens {} out {} in {}", name_of(isa), name_of(type),
                                 static_cast<int>(storage.format), s.tokens, out, in));
        const OwnedWeight w = random_weight(storage.format, out, in, 1, storage.options);
        const Matrix dy = Matrix::random(s.tokens, out, type, 2, 1, 1);
        const Matrix low = Matrix::random(s.tokens, std::max<int64_t>(s.rank, 1), type, 5),
                     la = Matrix::random(std::max<int64_t>(s.rank, 1), in, type, 6, 0.1);
        Matrix dx(s.tokens, in, type, 7), want(s.tokens, in, type);
        LinearDxArgs a{dx, false, 1, {dy}, {&w.w}, {}, {}};
        if (s.rank) {
          a.dlow = low;
          a.lora_a = la;
        }
        run_row(name_of(isa), a);
        a.dx = want;
        run_row(portable_name(type), a);
        EXPECT_LT(nmse(dx, want), bound_of(type));
        EXPECT_TRUE(dx.gaps_untouched());
      }
  });
}

TEST(LinearDxKernels, AddThreeProductsAndTheOldValueInOneSum) {
  for_each_case([](Isa isa, DType type) {
    constexpr int64_t kOut[] = {65, 32, 4100};
    std::vector<OwnedWeight> w;
    std::vector<Matrix> dy;
    Matrix dx = Matrix::random(55, 96, type, 7), want = dx;
    LinearDxArgs a{dx, true, 3, {}, {}, {}, {}};
    for (int i = 0; i < 3; ++i) {
      w.push_back(random_weight(WeightFormat::dense, kOut[i], 96, static_cast<uint32_t>(i), {.dtype = type}));
      dy.push_back(Matrix::random(55, kOut[i], type, static_cast<uint32_t>(10 + i)));
    }
    for (int i = 0; i < 3; ++i) {
      a.w[i] = &w[static_cast<size_t>(i)].w;
      a.dy[i] = dy[static_cast<size_t>(i)];
    }
    run_row(name_of(isa), a);
    a.dx = want;
    run_row(portable_name(type), a);
    EXPECT_LT(nmse(dx, want), bound_of(type)) << name_of(isa);
  });
}

TEST(TokenSumKernels, MatchThePortableKernelInEverySize) {
  constexpr Size kSums[] = {{512, 16, 576, 0}, {1100, 48, 100, 0}, {700, 64, 33, 0}, {513, 576, 16, 0},
                            {5, 3, 2, 0},      {100, 200, 300, 0}, {1, 16, 64, 0}};
  for_each_case([&](Isa isa, DType type) {
    for (const Size& s : kSums) {
      SCOPED_TRACE(
          fmt::format("{} {} tokens {} out {} in {}", name_of(isa), name_of(type), s.tokens, s.out, s.in));
      const Matrix dy = Matrix::random(s.tokens, s.out, type, 1, 1, 3),
                   x = Matrix::random(s.tokens, s.in, type, 2, 1, 1);
      Matrix dw = Matrix::random(s.out, s.in, DType::f32, 3, 1, 2), want = dw, once = dw;
      run_row(name_of(isa), TokenSumArgs{dw, dy, x, 0.5});
      run_row(portable_name(type), TokenSumArgs{want, dy, x, 0.5});
      EXPECT_LT(nmse(dw, want), 1e-11);
      EXPECT_TRUE(dw.gaps_untouched());
      for (const int threads : {1, 3}) {
        Matrix again = once;
        run_row(name_of(isa), TokenSumArgs{again, dy, x, 0.5}, threads);
        EXPECT_TRUE(again.same_bytes(dw));
      }
    }
  });
}

}  // namespace
}  // namespace lorikeet::test
