#include "backend/cuda/attention.h"
#include "cuda/attention_cases.h"

namespace lorikeet::test {
namespace {

using CudaAttentionSum = OnDeviceByCase;

/// Runs the backward on what a forward left in device memory.
struct OnlyBackward {
  OnlyBackward(const Case& c, uint32_t seed)
      : shape(c),
        q(random(c.queries, c.heads.q, seed)),
        k(random(c.keys, c.heads.kv, seed + 1)),
        v(random(c.keys, c.heads.kv, seed + 2)),
        dout(random(c.queries, c.heads.q, seed + 3)),
        o(Matrix(c.queries, c.heads.q * c.heads.dim, DType::bf16)),
        lse(Matrix(c.queries, c.heads.q, DType::f32)) {
    run_on_device(AttentionArgs{o, lse, q, k, v, c.rows, c.heads, scale(), c.window});
  }
  DeviceMatrix random(int64_t tokens, int64_t heads, uint32_t seed) const {
    return DeviceMatrix(Matrix::random(tokens, heads * shape.heads.dim, DType::bf16, seed));
  }
  double scale() const { return 1 / std::sqrt(shape.heads.dim); }

  std::vector<Matrix> run(cuda::DqSum sum) const {
    const DeviceMatrix dq(Matrix(q.view().rows, q.view().cols, DType::bf16)),
        dk(Matrix(k.view().rows, k.view().cols, DType::bf16)),
        dv(Matrix(v.view().rows, v.view().cols, DType::bf16)),
        delta(Matrix(lse.view().rows, lse.view().cols, DType::f32));
    const AttentionBwdArgs args{dq, dk, dv, delta,      dout,        o,       lse,
                                q,  k,  v,  shape.rows, shape.heads, scale(), shape.window};
    const DeviceBytes workspace(cuda::attention_bwd_workspace(args, sum));
    cuda::attention_bwd(args, sum, workspace.data(), nullptr);
    expect_success(cudaDeviceSynchronize());
    return {dq.download(), dk.download(), dv.download()};
  }

  const Case& shape;
  DeviceMatrix q, k, v, dout, o, lse;
};

// Long enough that the ordered sum takes two launches by rows, and by heads.
const Case kLong[] = {{"three rows",
                       {{0, 1900, 0, 1900}, {1900, 1300, 1900, 1300}, {3200, 600, 3200, 600}},
                       {32, 8, 128},
                       3800,
                       3800},
                      {"one row", {{0, 4000, 0, 4000}}, {18, 6, 64}, 4000, 4000}};

// A sum in another order is rounded to another bf16 neighbour now and then.
constexpr double kSumBound = 1e-7;

TEST_F(CudaAttentionSum, IsTheSameInOrderAndAtomically) {
  for (const Case& c : kLong) {
    SCOPED_TRACE(c.name);
    const OnlyBackward a(c, 1);
    const std::vector<Matrix> ordered = a.run(cuda::DqSum::ordered), atomic = a.run(cuda::DqSum::atomic);
    for (size_t i = 0; i < ordered.size(); ++i) EXPECT_LT(nmse(atomic[i], ordered[i]), kSumBound) << i;
  }
}

TEST_F(CudaAttentionSum, IsTheSameInOrderAndAtomicallyForRaggedRows) {
  for_each_case([](const Case& c) {
    const OnlyBackward a(c, 1);
    const std::vector<Matrix> ordered = a.run(cuda::DqSum::ordered), atomic = a.run(cuda::DqSum::atomic);
    for (size_t i = 0; i < ordered.size(); ++i)
      EXPECT_LT(error(c, i > 0, atomic[i], wide(ordered[i])), kSumBound) << i;
  });
}

TEST_F(CudaAttentionSum, RepeatsItsBits) {
  for (const Case& c : kLong) {
    SCOPED_TRACE(c.name);
    const OnlyBackward a(c, 1), b(c, 1);
    EXPECT_TRUE(a.o.download().same_bytes(b.o.download()));
    EXPECT_TRUE(a.lse.download().same_bytes(b.lse.download()));
    const std::vector<Matrix> first = a.run(cuda::DqSum::ordered);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const std::vector<Matrix> again = b.run(cuda::DqSum::ordered);
      for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(again[i].same_bytes(first[i])) << i;
    }
  }
}

}  // namespace
}  // namespace lorikeet::test
