#pragma once
#include "backend/ref/common.h"

namespace lorikeet::ref {

template <class W>
W capped_logit(W z, double scale, double softcap) {
  z *= W(scale);
  return softcap > 0 ? W(softcap) * std::tanh(z / W(softcap)) : z;
}

template <class T>
void run(const LogitCapArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.y.rows, [&](int64_t n, int) {
    for (int64_t k = 0; k < a.y.cols; ++k)
      store(capped_logit(W(load(a.x.row<T>(n)[k])), a.scale, a.softcap), a.y.row<T>(n)[k]);
  });
}

/// T is the type of the logits (float, double or Complex).
template <class T>
void run(const CrossEntropyArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t vocab = a.logits.cols;
  const auto capped_logit = [&](W z) { return ref::capped_logit(z, a.logit_scale, a.softcap); };
  c.threads.for_each(a.logits.rows, [&](int64_t i, int) {
    const T* z = a.logits.row<T>(i);
    double top = -INFINITY;
    for (int64_t j = 0; j < vocab; ++j) top = std::max(top, real_part(capped_logit(W(load(z[j])))));
    W sum{};
    for (int64_t j = 0; j < vocab; ++j) sum += std::exp(capped_logit(W(load(z[j]))) - W(top));
    const W lse = W(top) + std::log(sum);
    const W target = capped_logit(W(load(z[a.target[i]])));
    write(a.row_loss, i, 0, lse - target);
    if (!a.dlogits) return;
    for (int64_t j = 0; j < vocab; ++j) {  // ascending: dlogits may lie over the logits already read
      const W capped = capped_logit(W(load(z[j])));
      const W ratio = a.softcap > 0 ? capped / W(a.softcap) : W{};
      const W slope = W(a.logit_scale) * (W(1) - ratio * ratio);
      const W p = std::exp(capped - lse) - W(j == a.target[i] ? 1.0 : 0.0);
      write(a.dlogits, i, j, W(a.grad_scale) * slope * p);
    }
  });
  W total = read<W>(a.loss_sum, 0, 0);
  for (int64_t i = 0; i < a.logits.rows; ++i) total += read<W>(a.row_loss, i, 0);
  write(a.loss_sum, 0, 0, total);
}

/// Rows whose largest logit (the first of equals) is the target's. Runs before dlogits overwrite the logits.
template <class T>
int64_t count_correct(const CrossEntropyArgs& a) {
  int64_t correct = 0;
  for (int64_t i = 0; i < a.logits.rows; ++i) {
    const T* z = a.logits.row<T>(i);
    int64_t best = 0;
    for (int64_t j = 1; j < a.logits.cols; ++j)
      if (real_part(load(z[j])) > real_part(load(z[best]))) best = j;
    correct += best == a.target[i];
  }
  return correct;
}
template <class T>
void run_cross_entropy(const CrossEntropyArgs& a, const KernelContext& c) {
  if (a.correct) *a.correct += count_correct<T>(a);
  run<T>(a, c);
}

template <class T>
void run(const SquareSumArgs& a, const KernelContext&) {
  using W = Wide<T>;
  W total = read<W>(a.sum, 0, 0);
  for (int64_t n = 0; n < a.g.rows; ++n)
    for (int64_t k = 0; k < a.g.cols; ++k) total += W(load(a.g.row<T>(n)[k])) * W(load(a.g.row<T>(n)[k]));
  write(a.sum, 0, 0, total);
}

}  // namespace lorikeet::ref
