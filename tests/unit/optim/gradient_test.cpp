#include "optim/gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace lorikeet {
namespace {

TEST(Gradients, ANonFiniteOneIsNamed) {
  TrainableStore store(DType::f32);
  const size_t matrix = store.declare("matrix", ParameterKind::lora_a, {1, 3}, 1);
  store.declare_tensor({"layers.0.lora_A.weight", matrix, 0, 1, 0, 3, {1, 3}});
  store.allocate(true, false);
  ThreadPool threads{2};
  Arena arena{size_t{1} << 20};
  const Stream stream{Device::cpu, &threads, &arena};
  float* grad = store.parameters()[matrix].grad.as<float>();
  grad[0] = 1;
  EXPECT_EQ(first_non_finite_gradient(store), "");
  grad[1] = std::numeric_limits<float>::quiet_NaN();
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
