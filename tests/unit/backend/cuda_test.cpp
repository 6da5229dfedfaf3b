// What the CUDA backend says without a GPU, in builds with and without LORIKEET_CUDA. Its kernels:
// tests/cuda.
#include <gmock/gmock.h>

#include "backend/cuda/kernels.h"

namespace lorikeet {
namespace {

template <class Args>
void expect_refusal(const Args& args) {
  const auto list = cuda_kernels<Args>();
  ASSERT_FALSE(list.empty());
  for (const Kernel<Args>& k : list) {
    EXPECT_THAT(k.name, testing::HasSubstr("cuda"));
    EXPECT_THAT(k.reject(args), testing::NotNull());
  }
}

TEST(CudaBackend, RefusesAnOpWithoutAKernel) { expect_refusal(RouteArgs{}); }

TEST(CudaBackend, RefusesAWeightFormatThatItCannotDequantize) {
  Weight w;
  w.format = WeightFormat::q4_0;
  expect_refusal(LinearArgs{TensorView(nullptr, {1, 1}, DType::bf16),
                            TensorView(nullptr, {1, 32}, DType::bf16),
                            &w,
                            {},
                            {},
                            {},
                            {}});
}

}  // namespace
}  // namespace lorikeet
