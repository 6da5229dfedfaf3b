#include "backend/cpu/isa.h"

#include <gmock/gmock.h>

#include "core/error.h"

namespace lorikeet {
namespace {

TEST(IsaChoice, WithoutARequestIsTheBestAvailable) {
  const Isa best = choose_isa(nullptr);
  EXPECT_TRUE(isa_available(best));
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512bf16})
    if (isa > best) {
      EXPECT_FALSE(isa_available(isa));
    }
  EXPECT_EQ(choose_isa(""), best);
}

TEST(IsaChoice, FollowsTheRequest) { EXPECT_EQ(choose_isa("portable"), Isa::portable); }

TEST(IsaChoice, RefusesAnUnknownNameAndListsTheKnownOnes) {
  try {
    choose_isa("sse9");
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.message(), testing::HasSubstr("sse9"));
    EXPECT_THAT(e.fix(), testing::HasSubstr("portable, avx2, avx512, avx512bf16"));
  }
}

}  // namespace
}  // namespace lorikeet
