#pragma once
#include "backend/ref/common.h"

namespace lorikeet::ref {

template <class W>
struct Score {
  W value, slope;  // after the soft cap, and its derivative
};
template <class W>
Score<W> capped(W s, double softcap) {
  if (softcap <= 0) return {s, W(1)};
  const W t = std::tanh(s / W(softcap));
  return {W(softcap) * t, W(1) - t * t};
}

/// Index arithmetic shared by forward and backward: query `n` (a token index) of a row sees keys [first_key,
/// last_key].
struct KeyRange {
  int64_t first, last;
};
inline KeyRange visible_keys(const RowSpan& r, int64_t i, int64_t window) {
  const int64_t position = r.k_count - r.q_count + i;
  const int64_t lowest = window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
  return {r.k_begin + lowest, r.k_begin + position};
}

template <class T, class W>
W dot(const T* a, const T* b, int64_t n) {
  W sum{};
  for (int64_t i = 0; i < n; ++i) sum += W(load(a[i])) * W(load(b[i]));
  return sum;
}

inline size_t workspace_bytes(const AttentionArgs& a, int threads) {
  return static_cast<size_t>(threads) * static_cast<size_t>(a.heads.dim) * sizeof(Complex);
}
template <class T>
void run(const AttentionArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t d = a.heads.dim, group = a.heads.q / a.heads.kv;
  for (const RowSpan& r : a.rows)
    c.threads.for_each(r.q_count, [&](int64_t i, int thread) {
      W* out = static_cast<W*>(c.workspace) + thread * d;
      const KeyRange keys = visible_keys(r, i, a.window);
      for (int64_t h = 0; h < a.heads.q; ++h) {
        const T* q = a.q.row<T>(r.q_begin + i) + h * d;
        const auto score = [&](int64_t j) {
          return capped(W(a.scale) * dot<T, W>(q, a.k.row<T>(j) + h / group * d, d), a.softcap).value;
        };
        double top = -INFINITY;  // of the real parts, so that the kernel stays analytic
        for (int64_t j = keys.first; j <= keys.last; ++j) top = std::max(top, real_part(score(j)));
        W sum{};
        std::fill_n(out, d, W{});
        for (int64_t j = keys.first; j <= keys.last; ++j) {
          const W p = std::exp(score(j) - W(top));
          sum += p;
          for (int64_t x = 0; x < d; ++x) out[x] += p * W(load(a.v.row<T>(j)[h / group * d + x]));
        }
        for (int64_t x = 0; x < d; ++x) store(out[x] / sum, a.o.row<T>(r.q_begin + i)[h * d + x]);
        if (a.lse) write(a.lse, r.q_begin + i, h, W(top) + std::log(sum));
      }
    });
}

inline size_t workspace_bytes(const AttentionBwdArgs& a, int threads) {
  return static_cast<size_t>(threads) * 2 * static_cast<size_t>(a.heads.dim) * sizeof(Complex);
}

/// d loss / d score of query n, head h and key j (before the scale), and the probability itself.
template <class T, class W>
struct ScoreGradient {
  W probability, d_score;
};
template <class T, class W>
ScoreGradient<T, W> score_gradient(const AttentionBwdArgs& a, int64_t n, int64_t h, int64_t j) {
  const int64_t d = a.heads.dim, key = h / (a.heads.q / a.heads.kv) * d;
  const auto s = capped(W(a.scale) * dot<T, W>(a.q.row<T>(n) + h * d, a.k.row<T>(j) + key, d), a.softcap);
  const W p = std::exp(s.value - read<W>(a.lse, n, h));
  const W dp = dot<T, W>(a.dout.row<T>(n) + h * d, a.v.row<T>(j) + key, d);
  return {p, W(a.scale) * s.slope * p * (dp - read<W>(a.delta, n, h))};
}

template <class T>
void run(const AttentionBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t d = a.heads.dim, group = a.heads.q / a.heads.kv;
  for (const RowSpan& r : a.rows) {
    c.threads.for_each(r.q_count, [&](int64_t i, int thread) {  // dq: one owner per query
      W* sum = static_cast<W*>(c.workspace) + thread * 2 * d;
      const KeyRange keys = visible_keys(r, i, a.window);
      const int64_t n = r.q_begin + i;
      for (int64_t h = 0; h < a.heads.q; ++h) {
        write(a.delta, n, h, dot<T, W>(a.dout.row<T>(n) + h * d, a.o.row<T>(n) + h * d, d));
        std::fill_n(sum, d, W{});
        for (int64_t j = keys.first; j <= keys.last; ++j) {
          const W ds = score_gradient<T, W>(a, n, h, j).d_score;
          for (int64_t x = 0; x < d; ++x) sum[x] += ds * W(load(a.k.row<T>(j)[h / group * d + x]));
        }
        for (int64_t x = 0; x < d; ++x) store(sum[x], a.dq.row<T>(n)[h * d + x]);
      }
    });
    c.threads.for_each(
        r.k_count, [&](int64_t j0, int thread) {  // dk, dv: one owner per key, its heads in order
          W* dk = static_cast<W*>(c.workspace) + thread * 2 * d;
          W* dv = dk + d;
          const int64_t j = r.k_begin + j0;
          for (int64_t g = 0; g < a.heads.kv; ++g) {
            std::fill_n(dk, 2 * d, W{});
            for (int64_t h = g * group; h < (g + 1) * group; ++h)
              for (int64_t i = std::max<int64_t>(0, j0 - (r.k_count - r.q_count)); i < r.q_count; ++i) {
                const KeyRange keys = visible_keys(r, i, a.window);
                if (j < keys.first || j > keys.last) continue;
                const int64_t n = r.q_begin + i;
                const auto s = score_gradient<T, W>(a, n, h, j);
                for (int64_t x = 0; x < d; ++x) {
                  dk[x] += s.d_score * W(load(a.q.row<T>(n)[h * d + x]));
                  dv[x] += s.probability * W(load(a.dout.row<T>(n)[h * d + x]));
                }
              }
            for (int64_t x = 0; x < d; ++x) {
              store(dk[x], a.dk.row<T>(j)[g * d + x]);
              store(dv[x], a.dv.row<T>(j)[g * d + x]);
            }
          }
        });
  }
}

}  // namespace lorikeet::ref
