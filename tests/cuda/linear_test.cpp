#include "cuda/device.h"

namespace lorikeet::test {
namespace {

struct Size {
  int64_t tokens, out, in, rank;
};
// Multiples of everything, of nothing, single rows and columns, a contraction long enough to be split.
constexpr Size kSizes[] = {{96, 128, 192, 16}, {1, 64, 576, 16},    {7, 33, 65, 16},   {50, 1, 3, 0},
                           {130, 100, 37, 48}, {257, 384, 512, 16}, {9, 20, 9001, 32}, {16, 64, 8192, 8}};

struct Kind {
  DType compute;
  WeightFormat format;
};
constexpr Kind kKinds[] = {{DType::bf16, WeightFormat::dense},
                           {DType::bf16, WeightFormat::bnb4},
                           {DType::f32, WeightFormat::dense},
                           {DType::f32, WeightFormat::bnb4}};

/// Rounding to bf16 (at most 2^-8 relative) costs 2.8e-6 on average; a sum of few elements may lie above.
/// Up to four of them, f32 sums of 9001 terms in any order stay near 1e-13.
constexpr double kOneRounding = 3.3e-6;
double bound(DType compute) { return compute == DType::bf16 ? 2e-5 : 1e-11; }

Matrix random(int64_t rows, int64_t cols, DType dtype, uint32_t seed, double scale = 1) {
  return Matrix::random(rows, cols, dtype, seed, scale, 8);
}
OwnedWeight weight(const Kind& s, int64_t out, int64_t in, uint32_t seed) {
  return random_weight(s.format, out, in, seed, {.dtype = s.compute, .nested = true});
}

class CudaLinear : public OnDevice {
 protected:
  template <class F>
  void for_each_case(const F& f) {
    for (const Kind& kind : kKinds)
      for (const Size& size : kSizes) {
        SCOPED_TRACE(fmt::format("{} weights {} tokens {} out {} in {}", name_of(kind.compute),
                                 format_info(kind.format).name, size.tokens, size.out, size.in));
        f(kind, size);
      }
  }
};

/// The operands of a forward product on both sides; low lies behind x if `joined`.
struct Forward {
  Forward(const Kind& kind, const Size& s, bool joined)
      : w(weight(kind, s.out, s.in, 1)),
        x_low(random(s.tokens, s.in + s.rank, kind.compute, 2)),
        low(random(s.tokens, s.rank, kind.compute, 3)),
        b(random(s.out, s.rank, kind.compute, 4)),
        bias(random(1, s.out, kind.compute, 5)),
        residual(random(s.tokens, s.out, kind.compute, 6)),
        size(s),
        is_joined(joined) {}

  Matrix on_device(DType y_type, bool in_place) const {
    const DeviceWeight dw(w);
    const DeviceMatrix dx(x_low), dlow(low), db(b), dbias(bias), dresidual(residual),
        dy(Matrix(size.tokens, size.out, y_type, 8));
    const TensorView x = dx.view().columns(0, size.in), low_view = low_of(dx.view(), dlow);
    run_on_device(LinearArgs{in_place ? dresidual : dy, x, &*dw, dbias, dresidual, low_view, lora_b(db)});
    return in_place ? dresidual.download() : dy.download();
  }
  Matrix on_reference() const {
    const Matrix dense = wide(decoded(w.w, x_low.view().dtype)), x = wide(x_low), low_f64 = wide(low),
                 b_f64 = wide(b), bias_f64 = wide(bias), residual_f64 = wide(residual);
    const Weight weight = Weight::dense(dense.view());
    Matrix y(size.tokens, size.out, DType::f64);
    run_reference(LinearArgs{y, x.view().columns(0, size.in), &weight, bias_f64, residual_f64,
                             low_of(x.view(), low_f64), lora_b(b_f64)});
    return y;
  }
  TensorView low_of(const TensorView& x, const TensorView& apart) const {
    if (size.rank == 0) return {};
    return is_joined ? x.columns(size.in, size.rank) : apart;
  }
  TensorView lora_b(const TensorView& v) const { return size.rank == 0 ? TensorView() : v; }

  OwnedWeight w;
  Matrix x_low, low, b, bias, residual;
  Size size;
  bool is_joined;
};

TEST_F(CudaLinear, MatchesTheReferenceWithBiasResidualAndAdapter) {
  for_each_case([](const Kind& kind, const Size& size) {
    for (const bool joined : {false, true}) {
      const Forward f(kind, size, joined);
      const Matrix y = f.on_device(kind.compute, false);
      EXPECT_LT(nmse(y, f.on_reference()), bound(kind.compute)) << joined;
      EXPECT_TRUE(y.gaps_untouched());
    }
  });
}

TEST_F(CudaLinear, RoundsOnceWhereTheAdaptersPartLiesBehindX) {
  for (const Size& size : {Size{96, 128, 192, 16}, Size{257, 384, 512, 16}, Size{16, 64, 8192, 8}}) {
    const Forward f({DType::bf16, WeightFormat::bnb4}, size, true);
    EXPECT_LT(nmse(f.on_device(DType::bf16, false), f.on_reference()), kOneRounding) << size.in;
  }
}

TEST_F(CudaLinear, AddsToTheResidualInPlace) {
  for_each_case([](const Kind& kind, const Size& size) {
    const Forward f(kind, size, false);
    EXPECT_LT(nmse(f.on_device(kind.compute, true), f.on_reference()), bound(kind.compute));
  });
}

TEST_F(CudaLinear, GivesFloat32FromBfloat16OperandsWithoutRounding) {
  const Size size{64, 96, 256, 0};
  const OwnedWeight w = weight(kKinds[0], size.out, size.in, 1);
  const Matrix x = random(size.tokens, size.in, DType::bf16, 2);
  const DeviceWeight dw(w);
  const DeviceMatrix dx(x), dy(Matrix(size.tokens, size.out, DType::f32));
  run_on_device(LinearArgs{dy, dx, &*dw, {}, {}, {}, {}});
  const Matrix dense = wide(decoded(w.w, DType::bf16)), x_f64 = wide(x);
  const Weight weight = Weight::dense(dense.view());
  Matrix y(size.tokens, size.out, DType::f64);
  run_reference(LinearArgs{y, x_f64, &weight, {}, {}, {}, {}});
  EXPECT_LT(nmse(dy.download(), y), 1e-11);  // f32 sums of 256 exact products
}

TEST_F(CudaLinear, RepeatsItsBits) {
  for_each_case([](const Kind& kind, const Size& size) {
    const Forward f(kind, size, true);
    EXPECT_TRUE(f.on_device(kind.compute, false).same_bytes(f.on_device(kind.compute, false)));
  });
}

/// The operands of dx = [dx +] sum of three dy W, the second and third of other widths, + dlow A.
struct Backward {
  Backward(const Kind& kind, const Size& s)
      : dlow(random(s.tokens, s.rank, kind.compute, 1)),
        a(random(s.rank, s.in, kind.compute, 2)),
        before(random(s.tokens, s.in, kind.compute, 3)),
        size(s) {
    for (uint32_t i = 0; i < 3; ++i) {
      const int64_t out = s.out + 5 * i;
      w.push_back(weight(kind, out, s.in, 4 + i));
      dy.push_back(random(s.tokens, out, kind.compute, 7 + i));
    }
  }
  LinearDxArgs args(TensorView dx, bool accumulate, TensorView dlow_view, TensorView a_view) const {
    LinearDxArgs args{dx, accumulate, 3, {}, {}, {}, {}};
    if (size.rank > 0) {
      args.dlow = dlow_view;
      args.lora_a = a_view;
    }
    return args;
  }
  Matrix on_device(bool accumulate) const {
    const DeviceMatrix dx(accumulate ? before : Matrix(size.tokens, size.in, before.view().dtype, 8)),
        ddlow(dlow), da(a);
    const DeviceMatrix dys[] = {DeviceMatrix(dy[0]), DeviceMatrix(dy[1]), DeviceMatrix(dy[2])};
    const DeviceWeight ws[] = {DeviceWeight(w[0]), DeviceWeight(w[1]), DeviceWeight(w[2])};
    LinearDxArgs all = args(dx, accumulate, ddlow, da);
    for (int i = 0; i < 3; ++i) {
      all.dy[i] = dys[i];
      all.w[i] = &*ws[i];
    }
    run_on_device(all);
    return dx.download();
  }
  Matrix on_reference(bool accumulate) const {
    const Matrix dx = wide(before), dlow_f64 = wide(dlow), a_f64 = wide(a);
    LinearDxArgs all = args(dx, accumulate, dlow_f64, a_f64);
    std::vector<Matrix> matrices;
    matrices.reserve(6);  // the views into them must stay valid
    Weight weights[3];
    for (size_t i = 0; i < 3; ++i) {
      matrices.push_back(wide(dy[i]));
      all.dy[i] = matrices.back();
      matrices.push_back(wide(decoded(w[i].w, before.view().dtype)));
      weights[i] = Weight::dense(matrices.back().view());
      all.w[i] = &weights[i];
    }
    run_reference(all);
    return dx;
  }

  Matrix dlow, a, before;
  Size size;
  std::vector<OwnedWeight> w;
  std::vector<Matrix> dy;
};

TEST_F(CudaLinear, SumsDxOverThreeWeightsAndTheAdapter) {
  for_each_case([](const Kind& kind, const Size& size) {
    const Backward b(kind, size);
    for (const bool accumulate : {false, true}) {
      const Matrix dx = b.on_device(accumulate);
      EXPECT_LT(nmse(dx, b.on_reference(accumulate)), bound(kind.compute)) << accumulate;
      EXPECT_TRUE(dx.gaps_untouched());
    }
  });
}

TEST_F(CudaLinear, RepeatsTheBitsOfDx) {
  for_each_case([](const Kind& kind, const Size& size) {
    const Backward b(kind, size);
    EXPECT_TRUE(b.on_device(true).same_bytes(b.on_device(true)));
  });
}

}  // namespace
}  // namespace lorikeet::test
