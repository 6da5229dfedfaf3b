#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace lorikeet {
namespace {

TEST(Bf16, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const Bf16 x{static_cast<uint16_t>(bits)};
    const float f = to_float(x);
    if (std::isnan(f))
      EXPECT_TRUE(std::isnan(to_float(to_bf16(f))));
    else
      ASSERT_EQ(to_bf16(f).bits, x.bits);
  }
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(to_float(to_bf16(1.0f + 0x1p-8f)), 1.0f);                // tie: to the even neighbour below
  EXPECT_EQ(to_float(to_bf16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);  // tie: to the even neighbour above
  EXPECT_EQ(to_float(to_bf16(1.0f + 0x1.02p-8f)), 1.0f + 0x1p-7f);
  EXPECT_TRUE(std::isinf(to_float(to_bf16(std::numeric_limits<float>::max()))));
}

TEST(F16, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const F16 x{static_cast<uint16_t>(bits)};
    const float f = to_float(x);
    if (std::isnan(f))
      EXPECT_TRUE(std::isnan(to_float(to_f16(f))));
    else
      ASSERT_EQ(to_f16(f).bits, x.bits) << bits;
  }
}

#ifdef __FLT16_MAX__
TEST(F16, RoundsAsTheCompilersOwnType) {
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 65521) {  // a prime step through all floats
    const auto u = static_cast<uint32_t>(bits);
    float f;
    std::memcpy(&f, &u, sizeof f);
    if (std::isnan(f)) continue;
    const auto h = static_cast<_Float16>(f);
    uint16_t expected;
    std::memcpy(&expected, &h, sizeof expected);
    ASSERT_EQ(to_f16(f).bits, expected) << f;
  }
}
#endif

TEST(F16, RoundsSubnormalsAndOverflow) {
  EXPECT_EQ(to_f16(0x1p-24f).bits, 1);
  EXPECT_EQ(to_f16(0x1p-25f).bits, 0);    // tie to even zero
  EXPECT_EQ(to_f16(0x1.8p-24f).bits, 2);  // tie to even
  EXPECT_EQ(to_f16(-0x1p-24f).bits, 0x8001);
  EXPECT_EQ(to_f16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65519.0f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
}

}  // namespace
}  // namespace lorikeet
