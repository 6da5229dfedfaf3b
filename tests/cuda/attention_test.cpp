#include <gmock/gmock.h>

#include "backend/cuda/attention_graph.h"
#include "backend/cuda/status.h"
#include "cuda/attention_cases.h"

namespace lorikeet::test {
namespace {

using ::testing::HasSubstr;

/// Operands on both sides; the reference computes in f64 from the same bf16 numbers.
struct Attention {
  explicit Attention(const Case& c)
      : shape(c),
        q(Matrix::random(c.queries, c.heads.q * c.heads.dim, DType::bf16, 1, 1, 8)),
        k(Matrix::random(c.keys, c.heads.kv * c.heads.dim, DType::bf16, 2, 1, 16)),
        v(Matrix::random(c.keys, c.heads.kv * c.heads.dim, DType::bf16, 3)),
        dout(Matrix::random(c.queries, c.heads.q * c.heads.dim, DType::bf16, 4, 1, 24)) {}

  double scale() const { return 1 / std::sqrt(shape.heads.dim); }
  Matrix like(const Matrix& m, int64_t gap, DType type = DType::bf16) const {
    return Matrix(m.view().rows, m.view().cols, type, gap);
  }
  Matrix statistics(DType type) const { return Matrix(shape.queries, shape.heads.q, type); }

  void on_device(bool backward) {
    const DeviceMatrix dq_(q), dk_(k), dv_(v), ddout(dout), o_(like(q, 8)), lse_(statistics(DType::f32)),
        delta(statistics(DType::f32)), gq(like(q, 8)), gk(like(k, 8)), gv(like(v, 0));
    run_on_device(AttentionArgs{o_, lse_, dq_, dk_, dv_, shape.rows, shape.heads, scale(), shape.window});
    if (backward)
      run_on_device(AttentionBwdArgs{gq, gk, gv, delta, ddout, o_, lse_, dq_, dk_, dv_, shape.rows,
                                     shape.heads, scale(), shape.window});
    results.clear();
    for (const DeviceMatrix* m : {&o_, &lse_, &gq, &gk, &gv}) results.push_back(m->download());
  }
  const Matrix& o() const { return results[0]; }
  const Matrix& lse() const { return results[1]; }
  const Matrix& dq() const { return results[2]; }
  const Matrix& dk() const { return results[3]; }
  const Matrix& dv() const { return results[4]; }

  struct Reference {
    Matrix o, lse, dq, dk, dv;
  };
  Reference reference(bool backward) const {
    const Matrix q64 = wide(q), k64 = wide(k), v64 = wide(v), dout64 = wide(dout),
                 delta = statistics(DType::f64);
    Reference r{like(q, 0, DType::f64), statistics(DType::f64), like(q, 0, DType::f64),
                like(k, 0, DType::f64), like(v, 0, DType::f64)};
    ThreadPool threads(4);
    Arena arena(size_t{1} << 22);
    const Stream stream{Device::reference, &threads, &arena};
    dispatch(stream,
             AttentionArgs{r.o, r.lse, q64, k64, v64, shape.rows, shape.heads, scale(), shape.window});
    if (backward)
      dispatch(stream, AttentionBwdArgs{r.dq, r.dk, r.dv, delta, dout64, r.o, r.lse, q64, k64, v64,
                                        shape.rows, shape.heads, scale(), shape.window});
    return r;
  }

  const Case& shape;
  Matrix q, k, v, dout;
  std::vector<Matrix> results;
};

using CudaAttention = OnDeviceByCase;

// The probabilities are rounded to bf16 before they meet the values, and the output once more: 2.8e-6 on
// average each, more where few keys are seen.
constexpr double kOutputBound = 1e-5;
// Besides those, dout * o is summed from rounded outputs and the scores' gradients are rounded to bf16, small
// differences of larger numbers.
constexpr double kGradientBound = 2e-5;

TEST_F(CudaAttention, MatchesTheReference) {
  for_each_case([](const Case& c) {
    Attention a(c);
    a.on_device(false);
    const Attention::Reference want = a.reference(false);
    const double o = error(c, false, a.o(), want.o), lse = error(c, false, a.lse(), want.lse);
    EXPECT_LT(o, kOutputBound);
    EXPECT_LT(lse, 1e-11);  // f32 sums of a few hundred exponentials, good to 1e-6
  });
}

TEST_F(CudaAttention, MatchesTheReferenceWithoutStatistics) {
  for_each_case([](const Case& c) {
    const Attention a(c);
    const DeviceMatrix q(a.q), k(a.k), v(a.v), o(a.like(a.q, 8));
    run_on_device(AttentionArgs{o, {}, q, k, v, c.rows, c.heads, a.scale(), c.window});
    EXPECT_LT(error(c, false, o.download(), a.reference(false).o), kOutputBound);
  });
}

TEST_F(CudaAttention, GivesTheReferencesGradients) {
  for_each_case([](const Case& c) {
    Attention a(c);
    a.on_device(true);
    const Attention::Reference want = a.reference(true);
    const double dq = error(c, false, a.dq(), want.dq), dk = error(c, true, a.dk(), want.dk),
                 dv = error(c, true, a.dv(), want.dv);
    EXPECT_LT(dq, kGradientBound);
    EXPECT_LT(dk, kGradientBound);
    EXPECT_LT(dv, kGradientBound);
  });
}

// More than travel with one launch of the kernel that fills their tables.
TEST_F(CudaAttention, TakesHundredsOfRows) {
  std::vector<RowSpan> rows;
  for (int32_t i = 0, at = 0; i < 300; ++i) {
    const int32_t n = 1 + i % 5;
    rows.push_back({at, n, at, n});
    at += n;
  }
  const Case c = {"many rows", rows, {2, 1, 64}, 900, 900};
  Attention a(c);
  a.on_device(true);
  const Attention::Reference want = a.reference(true);
  EXPECT_LT(error(c, false, a.o(), want.o), kOutputBound);
  EXPECT_LT(error(c, true, a.dk(), want.dk), kGradientBound);
}

TEST_F(CudaAttention, HasNothingToDoWithoutRows) {
  const Matrix none(0, 64, DType::bf16);
  run_on_device(AttentionArgs{none, {}, none, none, none, {}, {1, 1, 64}, 1});
}

TEST_F(CudaAttention, SaysThatNoEngineTakesAShapeAndWhy) {
  cudnnHandle_t handle = nullptr;
  cuda::check(cudnnCreate(&handle), "cudnnCreate");
  cuda::AttentionShape s;
  s.rows = s.heads = s.kv_heads = 1;
  s.most_queries = s.most_keys = 128;
  s.dim = 20;
  s.strides = {20, 20, 20, 20, 1, 20, 20, 20, 20};
  try {
    const cuda::Plan plan(cuda::attention_graph(s).graph, handle);
    ADD_FAILURE() << "an engine took it";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    EXPECT_THAT(e.what(), HasSubstr("no engine of cuDNN takes the operations"));
    EXPECT_THAT(e.what(), HasSubstr("NOT_SUPPORTED"));
  }
  cudnnDestroy(handle);
}

TEST(CudaAttentionKernel, SaysWhatItDoesNotTake) {
  const Matrix x(8, 128, DType::bf16), f32(8, 128, DType::f32), odd(8, 128, DType::bf16, 1);
  const auto why = [&](const TensorView& q, Heads heads, double softcap) -> std::string {
    const char* reason = cuda_kernels<AttentionArgs>()[0].reject({x, {}, q, x, x, {}, heads, 1, 0, softcap});
    return reason ? reason : "";
  };
  EXPECT_EQ(why(x, {2, 2, 64}, 0), "");
  EXPECT_THAT(why(x, {1, 1, 264}, 0), HasSubstr("head_dim must be a multiple of 16 up to 256"));
  EXPECT_THAT(why(x, {4, 4, 24}, 0), HasSubstr("head_dim must be a multiple of 16 up to 256"));
  EXPECT_THAT(why(x, {2, 2, 64}, 30), HasSubstr("soft cap"));
  EXPECT_THAT(why(f32, {2, 2, 64}, 0), HasSubstr("bf16"));
  EXPECT_THAT(why(odd, {2, 2, 64}, 0), HasSubstr("16 bytes"));
}

}  // namespace
}  // namespace lorikeet::test
