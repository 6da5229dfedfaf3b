#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lorikeet {
namespace {

class OptimizerTest : public ::testing::Test {
 protected:
  OptimizerTest() {
    matrix = store.declare("matrix", ParameterKind::lora_a, {1, 3}, 1);
    store.declare_tensor({"layers.0.lora_A.weight", matrix, 0, 1, 0, 3, {1, 3}});
    store.allocate(true, false);
  }
  float* value() { return store.parameters()[matrix].value.as<float>(); }
  float* grad() { return store.parameters()[matrix].grad.as<float>(); }
  void set(float* to, float a, float b, float c) { to[0] = a, to[1] = b, to[2] = c; }

  ThreadPool threads{2};
  Arena arena{size_t{1} << 20};
  Stream stream{Device::cpu, &threads, &arena};
  TrainableStore store{DType::f32};
  size_t matrix = 0;
};

TEST_F(OptimizerTest, StepsEqualPyTorchsAdamWWithClippingAndWeightDecay) {
  // torch 2.x: AdamW(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1), clip_grad_norm_(1.0), gradient
  // of step t (3 t, -4, 0.5 / t).
  const double norms[] = {5.024937629699707, 7.215435028076172, 9.850268363952637};
  const float values[3][3] = {{0.4895000159740448F, -1.2387499809265137F, 1.9880000352859497F},
                              {0.47906532883644104F, -1.2277518510818481F, 1.9772207736968994F},
                              {0.46860450506210327F, -1.2170848846435547F, 1.967502474784851F}};
  set(value(), 0.5F, -1.25F, 2.0F);
  for (int t = 1; t <= 3; ++t) {
    set(grad(), 3.0F * static_cast<float>(t), -4.0F, 0.5F / static_cast<float>(t));
    const double norm = gradient_norm(store, stream);
    EXPECT_NEAR(norm, norms[t - 1], 1e-6);
    adamw_step(store, stream, {0.9, 0.99, 1e-8, 0.1}, 0.01, clip_factor(norm, 1.0), t);
    for (int i = 0; i < 3; ++i)  // two f32 roundings a step
      EXPECT_NEAR(value()[i], values[t - 1][i], 4e-7) << "step " << t << ", element " << i;
  }
}

TEST_F(OptimizerTest, ARateOfZeroChangesNothing) {
  set(value(), 0.5F, -1.25F, 2.0F);
  set(grad(), 1, 2, 3);
  adamw_step(store, stream, {0.9, 0.999, 1e-8, 0.1}, 0, 1, 1);
  EXPECT_EQ(value()[0], 0.5F);
  EXPECT_EQ(value()[2], 2.0F);
}

TEST_F(OptimizerTest, ANonFiniteGradientIsNamed) {
  set(grad(), 1, 2, 3);
  EXPECT_EQ(first_non_finite_gradient(store), "");
  grad()[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(first_non_finite_gradient(store), "layers.0.lora_A.weight");
  EXPECT_TRUE(std::isnan(gradient_norm(store, stream)));
}

TEST(Clipping, IsPyTorchsAndNeverScalesUp) {
  EXPECT_EQ(clip_factor(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(clip_factor(4, 1), 1 / (4 + 1e-6));
  EXPECT_EQ(clip_factor(100, 0), 1);
}

}  // namespace
}  // namespace lorikeet
