#include <gmock/gmock.h>

#include "cuda/device.h"

namespace lorikeet::test {
namespace {

using CudaTokenSum = OnDevice;
using ::testing::HasSubstr;

struct Size {
  int64_t tokens, out, in;
};
// An adapter's A and B, multiples of everything and of nothing, single tokens, rows and columns, and more
// tokens than one block of a product takes.
constexpr Size kSizes[] = {{96, 16, 192},  {96, 192, 16},   {1, 64, 576},    {7, 33, 65},     {50, 1, 3},
                           {130, 100, 37}, {257, 384, 512}, {8192, 16, 512}, {8192, 256, 16}, {9001, 64, 65}};

/// f32 sums of up to 9001 products: one after another, each rounded, they would err by 5e-12. bf16 products
/// are exact.
constexpr double kBound = 1e-11;

struct Operands {
  Operands(DType type, const Size& s, int64_t gap)
      : dw(Matrix::random(s.out, s.in, DType::f32, 1, 1, gap)),
        dy(Matrix::random(s.tokens, s.out, type, 2, 1, gap)),
        x(Matrix::random(s.tokens, s.in, type, 3, 1, gap)) {}
  Matrix on_device() const {
    const DeviceMatrix to(dw), dy_(dy), x_(x);
    run_on_device(TokenSumArgs{to, dy_, x_, 0.3});
    return to.download();
  }
  Matrix on_reference() const {
    const Matrix to = wide(dw), dy_ = wide(dy), x_ = wide(x);
    run_reference(TokenSumArgs{to, dy_, x_, 0.3});
    return to;
  }
  Matrix dw, dy, x;
};

template <class F>
void for_each_case(const F& f) {
  for (const DType type : kComputeTypes)
    for (const Size& s : kSizes)
      for (const int64_t gap : kGaps) {
        SCOPED_TRACE(fmt::format("{} {} tokens {}x{}, gap {}", name_of(type), s.tokens, s.out, s.in, gap));
        f(type, Operands(type, s, gap));
      }
}

TEST_F(CudaTokenSum, AddsWhatTheReferenceAdds) {
  for_each_case([](DType, const Operands& o) {
    const Matrix got = o.on_device();
    EXPECT_LT(nmse(got, o.on_reference()), kBound);
    EXPECT_TRUE(got.gaps_untouched());
  });
}

TEST_F(CudaTokenSum, RepeatsItsBits) {
  for_each_case([](DType, const Operands& o) { EXPECT_TRUE(o.on_device().same_bytes(o.on_device())); });
}

TEST_F(CudaTokenSum, AddsNothingWithoutTokens) {
  const Operands o(DType::bf16, {0, 16, 24}, 0);
  EXPECT_TRUE(o.on_device().same_bytes(o.dw));
}

TEST(CudaTokenSumKernel, SaysWhichTypesItDoesNotTake) {
  const Matrix bf16(2, 8, DType::bf16), f32(2, 8, DType::f32), f64(2, 8, DType::f64);
  EXPECT_THAT(cuda_kernels<TokenSumArgs>()[0].reject({f32, bf16, f32}), HasSubstr("type of x"));
  EXPECT_THAT(cuda_kernels<TokenSumArgs>()[0].reject({bf16, bf16, bf16}), HasSubstr("into f32"));
  EXPECT_THAT(cuda_kernels<TokenSumArgs>()[0].reject({f32, f64, f64}), HasSubstr("bf16 and f32"));
}

}  // namespace
}  // namespace lorikeet::test
