#include "optim/loraplus.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

TEST(LoraPlus, GivesMatricesBAndVectorsTheirOwnRate) {
  TrainableStore store(DType::f32);
  const size_t a = store.declare("a", ParameterKind::lora_a, {16, 8}, 1),
               b = store.declare("b", ParameterKind::lora_b, {8, 16}, 1),
               matrix = store.declare("matrix", ParameterKind::base, {8, 8}, 1),
               vector = store.declare("vector", ParameterKind::base, {1, 8}, 1),
               table = store.declare("table", ParameterKind::embedding_a, {8, 16}, 1),
               token = store.declare("token", ParameterKind::token_rows, {1, 8}, 1);
  apply_loraplus(store, 16, 1e-3);
  EXPECT_EQ(store.parameters()[a].rate_factor, 1);
  EXPECT_EQ(store.parameters()[b].rate_factor, 16);
  EXPECT_EQ(store.parameters()[matrix].rate_factor, 1);
  EXPECT_EQ(store.parameters()[vector].rate_factor, 16);
  EXPECT_EQ(store.parameters()[table].rate_factor, 1e-6 / 1e-3);
  EXPECT_EQ(store.parameters()[token].rate_factor, 1);
}

}  // namespace
}  // namespace lorikeet
