// The backend to copy: it links for every op and says by name what it lacks.
#include <gmock/gmock.h>

#include "backend/args.h"
#include "backend/backend.h"

namespace lorikeet {
namespace {

TEST(StubBackend, RefusesAnOpByItsNameBeforeAnythingRuns) {
  float values[4] = {1, 2, 3, 4};
  const TensorView view(values, {2, 2}, DType::f32);
  ThreadPool threads(1);
  try {
    dispatch(Stream{Device::stub, &threads, nullptr}, ZeroArgs{view});
    FAIL() << "a kernel ran";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    EXPECT_THAT(e.what(), testing::HasSubstr(std::string("no kernel accepts ") + ZeroArgs::op_name));
  }
  EXPECT_EQ(values[0], 1);
}

}  // namespace
}  // namespace lorikeet
