#include "lora/initial_values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

namespace lorikeet {
namespace {

/// One adapter of rank `r` on a module [40, 300].
class InitialValues : public ::testing::Test {
 protected:
  static constexpr int64_t kIn = 300, kOut = 40;
  void init(int64_t r, LoraInit init, uint64_t seed = 5) {
    store = std::make_unique<TrainableStore>(DType::f32);
    const size_t pa = store->declare("a", ParameterKind::lora_a, {16, kIn}, 1),
                 pb = store->declare("b", ParameterKind::lora_b, {kOut, 16}, 1);
    store->declare_tensor({"layers.0.q_proj.lora_A.weight", pa, 0, r, 0, kIn, {r, kIn}});
    store->declare_tensor({"layers.0.q_proj.lora_B.weight", pb, 0, kOut, 0, r, {kOut, r}});
    store->allocate(false, false);
    init_lora(*store, seed, init);
    a = store->value_of(store->tensors()[0]);
    b = store->value_of(store->tensors()[1]);
  }
  static double mean_square(const TensorView& v) {
    double sum = 0;
    for (int64_t i = 0; i < v.rows; ++i)
      for (int64_t k = 0; k < v.cols; ++k) sum += std::pow(v.row<float>(i)[k], 2);
    return sum / static_cast<double>(v.count());
  }

  std::unique_ptr<TrainableStore> store;
  TensorView a, b;
};

TEST_F(InitialValues, StandardIsUniformInPlusMinusOneOverTheRootOfTheInputs) {
  init(8, LoraInit::standard);
  EXPECT_NEAR(mean_square(a) * 3 * kIn, 1, 0.06);  // 2,400 draws: the ratio's deviation is 0.018
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t k = 0; k < a.cols; ++k) EXPECT_LE(std::abs(a.row<float>(i)[k]), 1 / std::sqrt(300.0f));
  EXPECT_EQ(mean_square(b), 0);
}

TEST_F(InitialValues, GaussianHasADeviationOfOneOverR) {
  init(8, LoraInit::gaussian);
  EXPECT_NEAR(mean_square(a) * 64, 1, 0.09);  // 2,400 draws: the ratio's deviation is 0.029
  EXPECT_EQ(mean_square(b), 0);
}

TEST_F(InitialValues, OrthogonalStartsWithAProductOfZeroOfTwoFactorsThatAreNot) {
  init(6, LoraInit::orthogonal);
  EXPECT_NEAR(mean_square(a) * 200, 1, 0.2);  // half of the squares of an orthogonal matrix, over 100
  EXPECT_NEAR(mean_square(b) * 200, 1, 0.4);
  for (int64_t i = 0; i < kOut; ++i)
    for (int64_t k = 0; k < kIn; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < 6; ++j)
        sum += static_cast<double>(b.row<float>(i)[j]) * static_cast<double>(a.row<float>(j)[k]);
      ASSERT_LT(std::abs(sum), 1e-8) << i << "," << k;  // six products of 0.005, rounded to f32
    }
}

TEST_F(InitialValues, FollowTheSeed) {
  for (const LoraInit kind : {LoraInit::standard, LoraInit::gaussian, LoraInit::orthogonal}) {
    init(4, kind, 1);
    const float first = a.row<float>(1)[7];
    init(4, kind, 1);
    EXPECT_EQ(a.row<float>(1)[7], first);
    init(4, kind, 2);
    EXPECT_NE(a.row<float>(1)[7], first);
  }
}

}  // namespace
}  // namespace lorikeet
