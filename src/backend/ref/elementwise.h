#pragma once
#include <cstring>
#include <numbers>

#include "backend/ref/common.h"
#include "core/philox.h"

namespace lorikeet::ref {

template <class T>
void run(const RmsNormArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t cols = a.x.cols;
  c.threads.for_each(a.x.rows, [&](int64_t n, int) {
    const T* x = a.x.row<T>(n);
    W sum{};
    for (int64_t k = 0; k < cols; ++k) sum += W(load(x[k])) * W(load(x[k]));
    const W rstd = W(1) / std::sqrt(sum / W(static_cast<double>(cols)) + W(a.eps));
    if (a.rstd) write(a.rstd, n, 0, rstd);
    for (int64_t k = 0; k < cols; ++k)
      store(W(load(x[k])) * rstd * (read<W>(a.w, 0, k) + W(a.weight_offset)), a.y.row<T>(n)[k]);
  });
}

template <class T>
void run(const RmsNormBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t cols = a.x.cols;
  const auto weight = [&](int64_t k) { return read<W>(a.w, 0, k) + W(a.weight_offset); };
  if (a.dw)  // before dx, which may overwrite dy
    c.threads.for_each(cols, [&](int64_t k, int) {
      for_token_chunks(a.x.rows, [&](int64_t first, int64_t last) {
        W sum{};
        for (int64_t n = first; n < last; ++n)
          sum += W(load(a.dy.row<T>(n)[k])) * W(load(a.x.row<T>(n)[k])) * read<W>(a.rstd, n, 0);
        write(a.dw, 0, k, read<W>(a.dw, 0, k) + sum);
      });
    });
  if (!a.dx) return;
  c.threads.for_each(a.x.rows, [&](int64_t n, int) {
    const T* x = a.x.row<T>(n);
    const T* dy = a.dy.row<T>(n);
    T* dx = a.dx.row<T>(n);
    const W rstd = read<W>(a.rstd, n, 0);
    W dot{};
    for (int64_t k = 0; k < cols; ++k) dot += W(load(dy[k])) * weight(k) * W(load(x[k]));
    const W shared = dot * rstd * rstd * rstd / W(static_cast<double>(cols));
    for (int64_t k = 0; k < cols; ++k) {
      const W d = rstd * W(load(dy[k])) * weight(k) - W(load(x[k])) * shared;
      store(a.accumulate ? W(load(dx[k])) + d : d, dx[k]);
    }
  });
}

template <class T>
void run(const LayerNormArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t cols = a.x.cols;
  const W n = W(static_cast<double>(cols));
  c.threads.for_each(a.x.rows, [&](int64_t r, int) {
    const T* x = a.x.row<T>(r);
    W sum{}, square{};
    for (int64_t k = 0; k < cols; ++k) sum += W(load(x[k]));
    const W mean = sum / n;
    for (int64_t k = 0; k < cols; ++k) square += (W(load(x[k])) - mean) * (W(load(x[k])) - mean);
    const W rstd = W(1) / std::sqrt(square / n + W(a.eps));
    if (a.stats) {
      write(a.stats, r, 0, mean);
      write(a.stats, r, 1, rstd);
    }
    for (int64_t k = 0; k < cols; ++k) {
      const W y = (W(load(x[k])) - mean) * rstd * read<W>(a.w, 0, k);
      store(a.b ? y + read<W>(a.b, 0, k) : y, a.y.row<T>(r)[k]);
    }
  });
}

template <class T>
void run(const LayerNormBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t cols = a.x.cols;
  const auto normed = [&](int64_t r, int64_t k) {
    return (W(load(a.x.row<T>(r)[k])) - read<W>(a.stats, r, 0)) * read<W>(a.stats, r, 1);
  };
  if (a.dw)  // before dx, which may overwrite dy
    c.threads.for_each(cols, [&](int64_t k, int) {
      for_token_chunks(a.x.rows, [&](int64_t first, int64_t last) {
        W sum{};
        for (int64_t r = first; r < last; ++r) sum += W(load(a.dy.row<T>(r)[k])) * normed(r, k);
        write(a.dw, 0, k, read<W>(a.dw, 0, k) + sum);
      });
    });
  if (!a.dx) return;
  const W n = W(static_cast<double>(cols));
  c.threads.for_each(a.x.rows, [&](int64_t r, int) {
    const T* dy = a.dy.row<T>(r);
    T* dx = a.dx.row<T>(r);
    W sum{}, dot{};
    for (int64_t k = 0; k < cols; ++k) {
      const W g = W(load(dy[k])) * read<W>(a.w, 0, k);
      sum += g;
      dot += g * normed(r, k);
    }
    for (int64_t k = 0; k < cols; ++k) {
      const W g = W(load(dy[k])) * read<W>(a.w, 0, k);
      const W d = read<W>(a.stats, r, 1) * (g - sum / n - normed(r, k) * (dot / n));
      store(a.accumulate ? W(load(dx[k])) + d : d, dx[k]);
    }
  });
}

template <class T>
void run(const AddArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.y.rows, [&](int64_t n, int) {
    for (int64_t k = 0; k < a.y.cols; ++k)
      store(W(load(a.a.row<T>(n)[k])) + W(a.scale) * W(load(a.b.row<T>(n)[k])), a.y.row<T>(n)[k]);
  });
}

template <class T>
void run(const RopeArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t half = a.rotary_dim / 2;
  c.threads.for_each(a.x.rows, [&](int64_t n, int) {
    const T* x = a.x.row<T>(n);
    T* y = a.y.row<T>(n);
    const float* cos = half ? a.cos.row<float>(a.positions[n]) : nullptr;
    const float* sin = half ? a.sin.row<float>(a.positions[n]) : nullptr;
    for (int64_t h = 0; h < a.heads(); ++h) {
      const T* from = x + a.x_heads.at(h, a.head_dim);
      T* to = y + a.y_heads.at(h, a.head_dim);
      for (int64_t j = 0; j < half; ++j) {
        const int64_t i0 = a.interleaved ? 2 * j : j, i1 = a.interleaved ? 2 * j + 1 : j + half;
        const W u = W(load(from[i0])), v = W(load(from[i1]));
        const W cs = W(load(cos[j])), sn = W(a.sign) * W(load(sin[j]));
        store(u * cs - v * sn, to[i0]);
        store(v * cs + u * sn, to[i1]);
      }
      for (int64_t j = a.rotary_dim; j < a.head_dim; ++j) to[j] = from[j];
    }
  });
}

/// Value and derivative of an activation.
template <class W>
struct ActivationValue {
  W value, slope;
};
template <class W>
ActivationValue<W> activate(Activation kind, W x) {
  switch (kind) {
    case Activation::silu: {
      const W s = W(1) / (W(1) + std::exp(-x));
      return {x * s, s * (W(1) + x * (W(1) - s))};
    }
    case Activation::gelu_tanh: {
      const W k = W(std::sqrt(2 / std::numbers::pi)), cube = W(0.044715) * x * x * x;
      const W t = std::tanh(k * (x + cube));
      return {W(0.5) * x * (W(1) + t),
              W(0.5) * (W(1) + t) + W(0.5) * x * (W(1) - t * t) * k * (W(1) + W(3) * W(0.044715) * x * x)};
    }
    case Activation::gelu: {
      // erf of a complex number near the real axis: first-order continuation, exact for a complex step.
      const double r = real_part(x), density = std::exp(-r * r / 2) / std::sqrt(2 * std::numbers::pi);
      const W cdf = W(0.5 * (1 + std::erf(r / std::numbers::sqrt2))) + W(density) * (x - W(r));
      return {x * cdf, cdf + x * W(density)};
    }
    case Activation::relu:
      return real_part(x) > 0 ? ActivationValue<W>{x, W(1)} : ActivationValue<W>{W{}, W{}};
  }
  return {};
}

template <class T>
void run(const GatedActivationArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.y.rows, [&](int64_t n, int) {
    for (int64_t k = 0; k < a.y.cols; ++k) {
      const W up = a.up ? W(load(a.up.row<T>(n)[k])) : W(1);
      store(activate(a.activation, W(load(a.gate.row<T>(n)[k]))).value * up, a.y.row<T>(n)[k]);
    }
  });
}

template <class T>
void run(const GatedActivationBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.dy.rows, [&](int64_t n, int) {
    for (int64_t k = 0; k < a.dy.cols; ++k) {
      const auto act = activate(a.activation, W(load(a.gate.row<T>(n)[k])));
      const W up = a.up ? W(load(a.up.row<T>(n)[k])) : W(1), dy = W(load(a.dy.row<T>(n)[k]));
      store(dy * up * act.slope, a.dgate.row<T>(n)[k]);
      if (a.up) store(dy * act.value, a.dup.row<T>(n)[k]);
    }
  });
}

/// The random stream of one module and optimizer step, counted by (row id, position, channel).
template <class Args>
float keyed_uniform(const Args& a, int64_t row_id, int32_t position, int64_t channel) {
  const uint64_t stream = a.stream ^ (static_cast<uint64_t>(row_id) * 0x9E3779B97F4A7C15u);
  return Philox(a.seed, stream)
      .uniform(static_cast<uint64_t>(position) * static_cast<uint64_t>(a.y.cols) +
               static_cast<uint64_t>(channel));
}
/// f(span, token, channel, draw) for every element of a micro-batch.
template <class Args, class F>
void for_each_draw(const Args& a, const KernelContext& c, const F& f) {
  c.threads.for_each(static_cast<int64_t>(a.batch->rows.size()), [&](int64_t r, int) {
    const RowSpan span = a.batch->rows[static_cast<size_t>(r)];
    for (int64_t n = span.q_begin; n < span.q_begin + span.q_count; ++n)
      for (int64_t k = 0; k < a.y.cols; ++k)
        f(span, n, k,
          keyed_uniform(a, a.batch->row_ids[static_cast<size_t>(r)],
                        a.batch->positions[static_cast<size_t>(n)], k));
  });
}
template <class T>
void run(const DropoutArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  for_each_draw(a, c, [&](const RowSpan&, int64_t n, int64_t k, float draw) {
    const bool keep = draw >= static_cast<float>(a.p);
    const W y = keep ? W(a.scale) * W(load(a.x.row<T>(n)[k])) / W(1 - a.p) : W{};
    T& out = a.y.row<T>(n)[k];
    store(a.accumulate ? W(load(out)) + y : y, out);
  });
}

template <class T>
void run(const NoiseArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  for_each_draw(a, c, [&](const RowSpan& span, int64_t n, int64_t k, float draw) {
    T& y = a.y.row<T>(n)[k];
    store(W(load(y)) + W(a.amplitude(span.q_count) * (2 * static_cast<double>(draw) - 1)), y);
  });
}

template <class T>
void run(const GatherRowsArgs& a, const KernelContext& c) {
  c.threads.for_each(a.y.rows,
                     [&](int64_t i, int) { std::copy_n(a.x.row<T>(a.at[i]), a.y.cols, a.y.row<T>(i)); });
}
template <class T>
void run(const ScatterRowsArgs& a, const KernelContext& c) {
  c.threads.for_each(a.x.rows,
                     [&](int64_t i, int) { std::copy_n(a.x.row<T>(i), a.y.cols, a.y.row<T>(a.at[i])); });
}
/// All element types represent zero by zero bytes.
inline void run_zero(const ZeroArgs& a, const KernelContext& c) {
  c.threads.for_each(a.y.rows, [&](int64_t n, int) {
    std::memset(static_cast<char*>(a.y.data) + static_cast<size_t>(n * a.y.stride) * size_of(a.y.dtype), 0,
                static_cast<size_t>(a.y.cols) * size_of(a.y.dtype));
  });
}
/// Any type to any type.
inline void run_cast(const CastArgs& a, const KernelContext& c) {
  c.threads.for_each(a.y.rows, [&](int64_t n, int) {
    for (int64_t k = 0; k < a.y.cols; ++k) {
      if (a.y.dtype == DType::c128)
        write(a.y, n, k, Complex(a.scale) * read<Complex>(a.x, n, k));
      else
        write(a.y, n, k, a.scale * read<double>(a.x, n, k));
    }
  });
}

}  // namespace lorikeet::ref
