#include "kernel_test_support.h"

namespace lorikeet::test {
namespace {

struct Case {
  std::vector<RowSpan> rows;
  Heads heads;
  int64_t window = 0;
  double softcap = 0;
};

std::vector<Case> cases() {
  const std::vector<RowSpan> one = {{0, 130, 0, 130}},
                             ragged = {{0, 1, 0, 1}, {1, 64, 1, 64}, {65, 77, 65, 77}, {142, 3, 142, 3}};
  const std::vector<RowSpan> cached = {{0, 1, 0, 150}, {1, 5, 150, 69}, {6, 90, 220, 200}};
  std::vector<Case> list;
  for (const int dim : {16, 24, 64, 80, 96, 128, 256}) list.push_back({ragged, {4, 2, dim}});
  for (const std::vector<RowSpan>& rows : {one, ragged, cached}) {
    list.push_back({rows, {3, 3, 64}});
    list.push_back({rows, {6, 2, 64}, 33});
    list.push_back({rows, {6, 1, 32}, 0, 4.0});
    list.push_back({rows, {8, 1, 16}, 64, 4.0});
  }
  return list;
}

/// Random inputs and room for the outputs of forward and backward.
struct Tensors {
  Matrix q, k, v, dout, o, lse, dq, dk, dv, delta;
  Tensors(const Case& c, DType type, int64_t queries, int64_t keys)
      : q(Matrix::random(queries, c.heads.q * c.heads.dim, type, 1, 1, 2)),
        k(Matrix::random(keys, c.heads.kv * c.heads.dim, type, 2, 1, 2)),
        v(Matrix::random(keys, c.heads.kv * c.heads.dim, type, 3)),
        dout(Matrix::random(queries, c.heads.q * c.heads.dim, type, 4)),
        o(queries, c.heads.q * c.heads.dim, type, 1),
        lse(queries, c.heads.q, DType::f32),
        dq(queries, c.heads.q * c.heads.dim, type, 1),
        dk(keys, c.heads.kv * c.heads.dim, type, 1),
        dv(keys, c.heads.kv * c.heads.dim, type),
        delta(queries, c.heads.q, DType::f32) {}
  AttentionArgs forward(const Case& c) const {
    return {o, lse, q, k, v, c.rows, c.heads, 1 / std::sqrt(c.heads.dim), c.window, c.softcap};
  }
  AttentionBwdArgs backward(const Case& c) const {
    return {dq,       dk,       dv, delta, dout, o, lse, q, k, v, c.rows, c.heads, 1 / std::sqrt(c.heads.dim),
            c.window, c.softcap};
  }
};

int64_t query_count(const Case& c) { return c.rows.back().q_begin + c.rows.back().q_count; }
int64_t key_count(const Case& c) { return c.rows.back().k_begin + c.rows.back().k_count; }

// bf16: probabilities are rounded to 8 bits before they meet the values. f32: exp to 2e-7.
double attention_bound(DType type) { return type == DType::bf16 ? 3e-5 : 1e-11; }

template <class F>
void for_each_case(const F& f) {
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes)
      for (const Case& c : cases()) {
        SCOPED_TRACE(fmt::format("{} {} rows {} heads {}/{} dim {} window {} softcap {}", name_of(isa),
                                 name_of(type), c.rows.size(), c.heads.q, c.heads.kv, c.heads.dim, c.window,
                                 c.softcap));
        f(name_of(isa), type, c);
      }
}

TEST(AttentionKernels, MatchThePortableKernelForRaggedGroupedAndCachedRows) {
  for_each_case([](const char* row, DType type, const Case& c) {
    const Tensors got(c, type, query_count(c), key_count(c)), want(c, type, query_count(c), key_count(c));
    run_row(row, got.forward(c));
    run_row(portable_name(type), want.forward(c));
    for (const RowSpan& r : c.rows) {
      EXPECT_LT(
          nmse(got.o.view().row_range(r.q_begin, r.q_count), want.o.view().row_range(r.q_begin, r.q_count)),
          attention_bound(type));
      EXPECT_LT(nmse(got.lse.view().row_range(r.q_begin, r.q_count),
                     want.lse.view().row_range(r.q_begin, r.q_count)),
                1e-11);
    }
    EXPECT_TRUE(got.o.gaps_untouched());
  });
}

TEST(AttentionBwdKernels, MatchThePortableKernelForRaggedAndGroupedRows) {
  for_each_case([](const char* row, DType type, const Case& c) {
    const Tensors got(c, type, query_count(c), key_count(c));
    run_row(portable_name(type), got.forward(c));
    Tensors want = got;
    run_row(row, got.backward(c));
    run_row(portable_name(type), want.backward(c));
    for (const RowSpan& r : c.rows) {
      const auto compare = [&](const Matrix& x, const Matrix& y, int64_t first, int64_t n, double bound) {
        EXPECT_LT(nmse(x.view().row_range(first, n), y.view().row_range(first, n)), bound);
      };
      const double bound =
          type == DType::bf16 ? 3e-4 : 1e-10;  // ds is rounded to 8 bits after a cancellation
      compare(got.dv, want.dv, r.k_begin, r.k_count, bound);
      if (r.k_count == 1) continue;  // dq and dk are exactly zero up to rounding
      compare(got.dk, want.dk, r.k_begin, r.k_count, bound);
      compare(got.dq, want.dq, r.q_begin, r.q_count, bound);
    }
    EXPECT_TRUE(got.dq.gaps_untouched());
    EXPECT_TRUE(got.dk.gaps_untouched());
  });
}

TEST(AttentionKernels, DoNotDependOnTheThreads) {
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes) {
      const Case c = {{{0, 200, 0, 200}, {200, 70, 200, 70}}, {6, 2, 64}};
      const Tensors one(c, type, 270, 270);
      run_row(name_of(isa), one.forward(c), 1);
      run_row(name_of(isa), one.backward(c), 1);
      for (const int threads : {2, 3}) {
        const Tensors more(c, type, 270, 270);
        run_row(name_of(isa), more.forward(c), threads);
        run_row(name_of(isa), more.backward(c), threads);
        for (const auto m : {&Tensors::o, &Tensors::lse, &Tensors::dq, &Tensors::dk, &Tensors::dv})
          EXPECT_TRUE((one.*m).same_bytes(more.*m)) << name_of(isa) << name_of(type) << threads;
      }
    }
}

TEST(AttentionKernels, GiveARowTheSameBitsAloneAndPacked) {
  for (const Isa isa : simd_isas())
    for (const DType type : kComputeTypes) {
      const Case packed = {{{0, 33, 0, 33}, {33, 150, 33, 150}, {183, 9, 183, 9}}, {4, 2, 64}};
      const Tensors all(packed, type, 192, 192);
      run_row(name_of(isa), all.forward(packed));
      run_row(name_of(isa), all.backward(packed));
      for (const RowSpan& r : packed.rows) {
        const Case alone = {{{0, r.q_count, 0, r.k_count}}, packed.heads};
        Tensors one(alone, type, r.q_count, r.k_count);
        AttentionArgs f = one.forward(alone);
        AttentionBwdArgs b = one.backward(alone);
        const auto rows = [&](const Matrix& m) { return m.view().row_range(r.q_begin, r.q_count); };
        f.q = b.q = rows(all.q);
        f.k = b.k = rows(all.k);
        f.v = b.v = rows(all.v);
        b.dout = rows(all.dout);
        run_row(name_of(isa), f);
        run_row(name_of(isa), b);
        for (const auto m : {&Tensors::o, &Tensors::lse, &Tensors::dq, &Tensors::dk, &Tensors::dv})
          EXPECT_EQ(nmse(one.*m, rows(all.*m)), 0) << name_of(isa) << name_of(type) << r.q_count;
      }
    }
}

}  // namespace
}  // namespace lorikeet::test
