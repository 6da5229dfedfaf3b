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

/// torch.optim.AdamW (foreach=False), in its order of operations.
inline void run_adamw(const AdamWArgs& a, const KernelContext& c) {
  const double correction1 = 1 - std::pow(a.beta1, static_cast<double>(a.t));
  const double correction2 = std::sqrt(1 - std::pow(a.beta2, static_cast<double>(a.t)));
  const auto step_size = static_cast<float>(a.lr / correction1), root = static_cast<float>(correction2);
  const auto decay = static_cast<float>(1 - a.lr * a.weight_decay), eps = static_cast<float>(a.eps);
  const auto beta2 = static_cast<float>(a.beta2);
  const auto one_minus1 = static_cast<float>(1 - a.beta1), one_minus2 = static_cast<float>(1 - a.beta2);
  const auto scale = static_cast<float>(a.grad_scale);
  c.threads.for_each(a.p.rows, [&](int64_t n, int) {
    float* p = a.p.row<float>(n);
    const float* g = a.g.row<float>(n);
    float* m = a.m.row<float>(n);
    float* v = a.v.row<float>(n);
    for (int64_t k = 0; k < a.p.cols; ++k) {
      const float grad = g[k] * scale;
      p[k] *= decay;
      m[k] += one_minus1 * (grad - m[k]);
      v[k] = v[k] * beta2 + one_minus2 * grad * grad;
      p[k] -= step_size * (m[k] / (std::sqrt(v[k]) / root + eps));
    }
  });
}

}  // namespace lorikeet::ref
