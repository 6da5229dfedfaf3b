#pragma once
// Mixtures of experts: which tokens go where, and the way back.
#include "backend/ref/common.h"

namespace lorikeet::ref {

/// Puts the numbers of the `k` largest of n probabilities into `chosen`, rising; of equals the lower ones.
template <class T>
void choose_largest(const T* p, int64_t n, int64_t k, int32_t* chosen) {
  int64_t count = 0;
  for (int64_t e = 0; e < n; ++e) {
    const auto larger = [&](int32_t other) { return real_part(load(p[e])) > real_part(load(p[other])); };
    if (count == k && !larger(chosen[k - 1])) continue;
    int64_t at = count == k ? k - 1 : count++;
    for (; at > 0 && larger(chosen[at - 1]); --at) chosen[at] = chosen[at - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
  std::sort(chosen, chosen + k);
}

/// Counts out the rows of each expert from the choices of `tokens` tokens.
inline void number_expert_rows(const ExpertRows& rows, int64_t tokens, int64_t experts) {
  std::fill_n(rows.first, experts + 1, 0);
  for (int64_t i = 0; i < tokens * rows.top_k; ++i) ++rows.first[rows.expert[i] + 1];
  for (int64_t e = 0; e < experts; ++e) rows.first[e + 1] += rows.first[e];
  for (int64_t i = 0; i < tokens * rows.top_k; ++i) {
    rows.row[i] = rows.first[rows.expert[i]]++;
    rows.token[rows.row[i]] = static_cast<int32_t>(i / rows.top_k);
  }
  for (int64_t e = experts; e > 0; --e) rows.first[e] = rows.first[e - 1];  // each had moved to its end
  rows.first[0] = 0;
}

/// The sum of the probabilities of a token's experts where they are divided by it, else 1.
template <class W>
W divisor(const ExpertRows& rows, const TensorView& probability, bool normalize, int64_t token) {
  if (!normalize) return W(1);
  W sum{};
  for (int64_t j = 0; j < rows.top_k; ++j)
    sum += read<W>(probability, token, rows.expert[token * rows.top_k + j]);
  return sum;
}

template <class T>
void run(const RouteArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t experts = a.logits.cols, k = a.rows.top_k;
  c.threads.for_each(a.logits.rows, [&](int64_t n, int) {
    const T* z = a.logits.row<T>(n);
    T* p = a.probability.row<T>(n);
    double top = -INFINITY;
    for (int64_t e = 0; e < experts; ++e) top = std::max(top, real_part(load(z[e])));
    W sum{};
    for (int64_t e = 0; e < experts; ++e) sum += std::exp(W(load(z[e])) - W(top));
    for (int64_t e = 0; e < experts; ++e) store(std::exp(W(load(z[e])) - W(top)) / sum, p[e]);
    choose_largest(p, experts, k, a.rows.expert + n * k);
  });
  number_expert_rows(a.rows, a.logits.rows, experts);
  c.threads.for_each(a.logits.rows, [&](int64_t n, int) {
    const W sum = divisor<W>(a.rows, a.probability, a.normalize, n);
    for (int64_t i = n * k; i < (n + 1) * k; ++i)
      write(a.weight, a.rows.row[i], 0, read<W>(a.probability, n, a.rows.expert[i]) / sum);
  });
}

/// With the weights w = p / s: dp = (dw - dot(dw, w)) / s where s is the sum of the chosen p, dp = dw where
/// it is 1.
template <class T>
void run(const RouteBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t k = a.rows.top_k;
  c.threads.for_each(a.dlogits.rows, [&](int64_t n, int) {
    const int32_t* expert = a.rows.expert + n * k;
    const int32_t* row = a.rows.row + n * k;
    const W sum = divisor<W>(a.rows, a.probability, a.normalize, n);
    W shared{};
    for (int64_t j = 0; a.normalize && j < k; ++j)
      shared += read<W>(a.dweight, row[j], 0) * read<W>(a.weight, row[j], 0);
    const auto dp = [&](int64_t j) { return (read<W>(a.dweight, row[j], 0) - shared) / sum; };
    W mean{};
    for (int64_t j = 0; j < k; ++j) mean += read<W>(a.probability, n, expert[j]) * dp(j);
    for (int64_t e = 0, j = 0; e < a.dlogits.cols; ++e) {
      const W own = j < k && expert[j] == e ? dp(j++) : W{};
      store(read<W>(a.probability, n, e) * (own - mean), a.dlogits.row<T>(n)[e]);
    }
  });
}

template <class T>
void run(const CombineRowsArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.y.rows, [&](int64_t n, int) {
    const int32_t* row = a.rows.row + n * a.rows.top_k;
    for (int64_t k = 0; k < a.y.cols; ++k) {
      W sum = a.residual ? W(load(a.residual.row<T>(n)[k])) : W{};
      for (int64_t j = 0; j < a.rows.top_k; ++j) {
        const W weight = a.weight ? read<W>(a.weight, row[j], 0) : W(1);
        sum += weight * W(load(a.x.row<T>(row[j])[k]));
      }
      store(sum, a.y.row<T>(n)[k]);
    }
  });
}

template <class T>
void run(const RowWeightBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.x.rows, [&](int64_t i, int) {
    const W weight = read<W>(a.weight, i, 0);
    W sum{};
    for (int64_t k = 0; k < a.x.cols; ++k) {
      const W dy = W(load(a.dy.row<T>(i)[k]));
      sum += dy * W(load(a.x.row<T>(i)[k]));
      store(weight * dy, a.dx.row<T>(i)[k]);
    }
    write(a.dweight, i, 0, sum);
  });
}

}  // namespace lorikeet::ref
