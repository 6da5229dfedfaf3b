#include "cuda/device.h"

namespace lorikeet::test {
namespace {

/// Where the gradient goes.
enum class Gradient : uint8_t { none, apart, over_logits };
constexpr const char* kGradients[] = {"none", "apart", "over the logits"};

struct Case {
  Shape shape;  // rows, vocabulary
  double logit_scale, softcap;
};
constexpr Case kCases[] = {{{1, 7}, 1, 0},      {{5, 1000}, 1, 0},     {{3, 1025}, 0.5, 5},
                           {{300, 1032}, 1, 0}, {{4, 50257}, 0.25, 0}, {{3, 128256}, 1, 30}};

/// Operands on both sides. Every third target is the largest logit of its row, and one has an equal before
/// it.
struct Loss {
  explicit Loss(const Case& c) : of(c), logits(Matrix::random(c.shape.rows, c.shape.cols, DType::f32, 1, 4)) {
    std::mt19937 g(5);
    for (int64_t r = 0; r < c.shape.rows; ++r) {
      const auto at = static_cast<int32_t>(1 + g() % static_cast<uint32_t>(c.shape.cols - 1));
      target.push_back(at);
      if (r % 3 == 1) set_value(logits.view(), r, at, 25);
      if (r == 4) set_value(logits.view(), r, at - 1, 25);
    }
  }
  template <class Sum>
  CrossEntropyArgs args(TensorView dlogits, TensorView row_loss, TensorView sum, TensorView z,
                        const int32_t* t, Sum* correct) const {
    return {dlogits, row_loss, sum, z, t, correct, 0.01, of.logit_scale, of.softcap};
  }

  struct Result {
    Matrix dlogits, row_loss, sum;
    int64_t correct;
  };
  Result on_device(Gradient where, DType type) const {
    const Shape& s = of.shape;
    const DeviceMatrix z(logits), apart(Matrix(s.rows, s.cols, type, 8)),
        row_loss(Matrix(s.rows, 1, DType::f64)), sum(Matrix::filled(1, 1, DType::f64, 0.5));
    const DeviceArray<int32_t> t(target);
    const DeviceArray<int64_t> correct({100});
    TensorView over = z.view();  // as ops/head lays it: each row begins where its logits do
    over.dtype = type;
    over.stride *= static_cast<int64_t>(4 / size_of(type));
    const TensorView dlogits = where == Gradient::none    ? TensorView()
                               : where == Gradient::apart ? apart.view()
                                                          : over;
    run_on_device(args(dlogits, row_loss, sum, z, t.data(), correct.data()));
    const Matrix bytes = z.download();
    over.data = bytes.view().data;
    return {where == Gradient::over_logits ? wide(over) : apart.download(), row_loss.download(),
            sum.download(), correct.download()[0]};
  }
  Result on_reference() const {
    const Matrix z = wide(logits);
    Result r{Matrix(of.shape.rows, of.shape.cols, DType::f64), Matrix(of.shape.rows, 1, DType::f64),
             Matrix::filled(1, 1, DType::f64, 0.5), 100};
    run_reference(args(r.dlogits, r.row_loss, r.sum, z, target.data(), &r.correct));
    return r;
  }

  Case of;
  Matrix logits;
  std::vector<int32_t> target;
};

class CudaCrossEntropy : public OnDevice {
 protected:
  template <class F>
  void for_each_case(const F& f) {
    for (const Case& c : kCases) {
      const Loss loss(c);
      for (const DType type : kComputeTypes)
        for (const Gradient where : {Gradient::none, Gradient::apart, Gradient::over_logits}) {
          SCOPED_TRACE(fmt::format("{}x{} softcap {} {} {}", c.shape.rows, c.shape.cols, c.softcap,
                                   name_of(type), kGradients[static_cast<int>(where)]));
          f(loss, where, type);
        }
    }
  }
};

TEST_F(CudaCrossEntropy, MatchesTheReference) {
  for_each_case([](const Loss& loss, Gradient where, DType type) {
    const Loss::Result got = loss.on_device(where, type), want = loss.on_reference();
    // An f32 logit near 25 carries 1e-6, and so does its exponential.
    EXPECT_LT(nmse(got.row_loss, want.row_loss), 1e-12);
    EXPECT_NEAR(got.sum.at(0, 0), want.sum.at(0, 0), 1e-6 * want.sum.at(0, 0));
    EXPECT_EQ(got.correct, want.correct);
    if (where == Gradient::none) return;
    EXPECT_LT(nmse(got.dlogits, want.dlogits), type == DType::bf16 ? 1.6e-5 : 1e-11);
    EXPECT_TRUE(where == Gradient::over_logits || got.dlogits.gaps_untouched());
  });
}

TEST_F(CudaCrossEntropy, RepeatsItsBits) {
  for_each_case([](const Loss& loss, Gradient where, DType type) {
    const Loss::Result one = loss.on_device(where, type), two = loss.on_device(where, type);
    EXPECT_TRUE(one.dlogits.same_bytes(two.dlogits));
    EXPECT_TRUE(one.row_loss.same_bytes(two.row_loss));
    EXPECT_TRUE(one.sum.same_bytes(two.sum));
  });
}

// Beside a probability that rounds to 1 in f32, and with it the loss to 0.
TEST_F(CudaCrossEntropy, GivesTheGradientsOfLogitsFarBelowTheTarget) {
  Matrix logits = Matrix::filled(1, 5, DType::f32, 0);
  set_value(logits.view(), 0, 2, 20);
  const DeviceMatrix z(logits), dlogits(Matrix(1, 5, DType::f32)), row_loss(Matrix(1, 1, DType::f64)),
      sum(Matrix::filled(1, 1, DType::f64, 0));
  const DeviceArray<int32_t> target({2});
  run_on_device(CrossEntropyArgs{dlogits, row_loss, sum, z, target.data()});
  EXPECT_NEAR(row_loss.download().at(0, 0), 4 * std::exp(-20.0), 1e-7);
  EXPECT_NEAR(dlogits.download().at(0, 0) / std::exp(-20.0), 1, 1e-6);
}

}  // namespace
}  // namespace lorikeet::test
