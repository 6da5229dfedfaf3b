#include "core/arena.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lorikeet {
namespace {

TEST(Arena, GrowsFromBothEndsAndReusesWhatIsRewound) {
  Arena a(4096);
  const TensorView low = a.bottom({2, 3}, DType::f32, "low"), high = a.top({2, 3}, DType::f32, "high");
  EXPECT_LT(low.data, high.data);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(low.data) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(high.data) % 64, 0u);
  a.rewind_top(0);
  EXPECT_EQ(a.top({2, 3}, DType::f32, "again").data, high.data);
}

TEST(Arena, CountsTheSameDryAndReal) {
  Arena dry = Arena::dry(), real(4096);
  for (Arena* a : {&dry, &real}) {
    a->bottom({1, 100}, DType::f32, "a");
    const size_t mark = a->top_mark();
    a->top({1, 300}, DType::bf16, "b");
    a->rewind_top(mark);
    a->bottom({3, 7}, DType::f64, "c");
  }
  EXPECT_EQ(dry.high_water(), real.high_water());
  EXPECT_EQ(dry.saved_at_high_water(), real.saved_at_high_water());
  EXPECT_EQ(dry.bottom({1, 1}, DType::f32, "d").data, nullptr);
}

TEST(Arena, RefusesWhatDoesNotFitAndNamesIt) {
  Arena a(256);
  a.bottom({1, 32}, DType::f32, "first");
  try {
    a.top({1, 64}, DType::f32, "mlp.gate");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::resource);
    EXPECT_NE(e.message().find("mlp.gate"), std::string::npos);
    EXPECT_NE(e.message().find("256"), std::string::npos);
  }
}

TEST(Arena, FillsWithNanWhenAsked) {
  Arena a(1024);
  a.fill_with_nan(true);
  EXPECT_TRUE(std::isnan(a.bottom({1, 4}, DType::f32, "x").as<float>()[3]));
}

}  // namespace
}  // namespace lorikeet
