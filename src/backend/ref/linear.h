#pragma once
#include "backend/ref/common.h"
#include "quant/decode.h"

namespace lorikeet::ref {

/// The columns [first, first + n) of one row of any weight as wide numbers; `scratch` holds n floats.
template <class W>
void decode_columns(const Weight& w, int64_t row, int64_t first, int64_t n, float* scratch, W* out) {
  if (w.format == WeightFormat::dense && (w.dtype == DType::f64 || w.dtype == DType::c128)) {
    const TensorView v = w.dense_view();
    for (int64_t k = 0; k < n; ++k) out[k] = read<W>(v, row, first + k);
    return;
  }
  decode_rows(w, row, row + 1, first, first + n, scratch, n);
  for (int64_t k = 0; k < n; ++k) out[k] = W(load(scratch[k]));
}
template <class W>
void decode_row(const Weight& w, int64_t row, float* scratch, W* out) {
  decode_columns(w, row, 0, w.cols, scratch, out);
}

/// A multiple of 64, so that every thread's scratch is aligned.
inline size_t row_bytes(int64_t cols) {
  return (static_cast<size_t>(cols) * (sizeof(Complex) + sizeof(float)) + 127) / 64 * 64;
}

template <class W>
struct RowScratch {
  RowScratch(void* workspace, int64_t cols, int thread)
      : wide(reinterpret_cast<W*>(static_cast<char*>(workspace) +
                                  static_cast<size_t>(thread) * row_bytes(cols))),
        narrow(reinterpret_cast<float*>(wide + cols)) {}
  W* wide;
  float* narrow;
};

inline size_t workspace_bytes(const LinearArgs& a, int threads) {
  return static_cast<size_t>(threads) * row_bytes(a.w->cols);
}
template <class T>
void run(const LinearArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.w->rows, [&](int64_t o, int thread) {
    const RowScratch<W> w(c.workspace, a.w->cols, thread);
    decode_row(*a.w, o, w.narrow, w.wide);
    for (int64_t n = 0; n < a.x.rows; ++n) {
      const T* x = a.x.row<T>(n);
      W sum{};
      for (int64_t k = 0; k < a.w->cols; ++k) sum += W(load(x[k])) * w.wide[k];
      for (int64_t r = 0; r < a.low.cols; ++r)
        sum += W(load(a.low.row<T>(n)[r])) * W(load(a.lora_b.row<T>(o)[r]));
      if (a.bias) sum += read<W>(a.bias, 0, o);
      if (a.residual) sum += W(load(a.residual.row<T>(n)[o]));
      write(a.y, n, o, sum);
    }
  });
}

inline size_t workspace_bytes(const LinearDxArgs& a, int threads) {
  int64_t in = a.dx.cols;
  return static_cast<size_t>(threads) * (row_bytes(in) + static_cast<size_t>(in) * sizeof(Complex));
}
template <class T>
void run(const LinearDxArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  const int64_t in = a.dx.cols;
  W* sums = reinterpret_cast<W*>(static_cast<char*>(c.workspace) +
                                 static_cast<size_t>(c.threads.size()) * row_bytes(in));
  c.threads.for_each(a.dx.rows, [&](int64_t n, int thread) {
    const RowScratch<W> w(c.workspace, in, thread);
    W* sum = sums + thread * in;
    std::fill_n(sum, in, W{});
    for (int i = 0; i < a.count; ++i)
      for (int64_t o = 0; o < a.w[i]->rows; ++o) {
        decode_row(*a.w[i], o, w.narrow, w.wide);
        const W dy = W(load(a.dy[i].row<T>(n)[o]));
        for (int64_t k = 0; k < in; ++k) sum[k] += dy * w.wide[k];
      }
    for (int64_t r = 0; r < a.dlow.cols; ++r)
      for (int64_t k = 0; k < in; ++k)
        sum[k] += W(load(a.dlow.row<T>(n)[r])) * W(load(a.lora_a.row<T>(r)[k]));
    T* dx = a.dx.row<T>(n);
    for (int64_t k = 0; k < in; ++k) store(a.accumulate ? W(load(dx[k])) + sum[k] : sum[k], dx[k]);
  });
}

template <class T>
void run(const TokenSumArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.dw.rows, [&](int64_t o, int) {
    for (int64_t k = 0; k < a.dw.cols; ++k)
      for_token_chunks(a.x.rows, [&](int64_t first, int64_t last) {
        W sum{};
        for (int64_t n = first; n < last; ++n) sum += W(load(a.dy.row<T>(n)[o])) * W(load(a.x.row<T>(n)[k]));
        write(a.dw, o, k, read<W>(a.dw, o, k) + W(a.scale) * sum);
      });
  });
}

template <class T>
void run(const ColumnSumArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.dy.cols, [&](int64_t o, int) {
    for_token_chunks(a.dy.rows, [&](int64_t first, int64_t last) {
      W sum{};
      for (int64_t n = first; n < last; ++n)
        sum += W(load(a.dy.row<T>(n)[o])) * (a.x ? W(load(a.x.row<T>(n)[o])) : W(1));
      const W weight = a.weight ? read<W>(a.weight, 0, o) : W(1);
      write(a.db, 0, o, read<W>(a.db, 0, o) + weight * sum);
    });
  });
}

template <class T>
void run(const ScaleColumnsArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.x.rows, [&](int64_t n, int) {
    for (int64_t o = 0; o < a.x.cols; ++o) {
      W y = W(load(a.x.row<T>(n)[o])) * (read<W>(a.scale, 0, o) + W(a.offset));
      if (a.bias) y += read<W>(a.bias, 0, o);
      if (a.residual) y += W(load(a.residual.row<T>(n)[o]));
      store(y, a.y.row<T>(n)[o]);
    }
  });
}

template <class T>
void run(const DoraScaleArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  constexpr int64_t kTile = 256;
  c.threads.for_each(a.w->rows, [&](int64_t o, int) {
    W wide[kTile];
    float narrow[kTile];
    double squares = 0;
    for (int64_t first = 0; first < a.w->cols; first += kTile) {
      const int64_t n = std::min(kTile, a.w->cols - first);
      decode_columns(*a.w, o, first, n, narrow, wide);
      for (int64_t k = 0; k < n; ++k) {
        double sum = real_part(wide[k]);
        for (int64_t r = 0; r < a.lora_a.rows; ++r)
          sum += real_part(load(a.lora_b.row<T>(o)[r])) * real_part(load(a.lora_a.row<T>(r)[first + k]));
        squares += sum * sum;
      }
    }
    const double inverse = squares > 0 ? 1 / std::sqrt(squares) : 0;
    write(a.inverse_norm, 0, o, W(inverse));
    write(a.scale, 0, o, W(inverse) * read<W>(a.magnitude, 0, o));
  });
}

inline size_t workspace_bytes(const EmbeddingArgs& a, int threads) {
  return static_cast<size_t>(threads) * row_bytes(a.table->cols);
}
template <class T>
void run(const EmbeddingArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  c.threads.for_each(a.y.rows, [&](int64_t n, int thread) {
    const RowScratch<W> w(c.workspace, a.table->cols, thread);
    decode_row(*a.table, a.tokens[n], w.narrow, w.wide);
    T* y = a.y.row<T>(n);
    for (int64_t k = 0; k < a.y.cols; ++k)
      store(a.accumulate ? W(load(y[k])) + W(a.scale) * w.wide[k] : W(a.scale) * w.wide[k], y[k]);
  });
}

template <class T>
void run(const EmbeddingBwdArgs& a, const KernelContext& c) {
  using W = Wide<T>;
  constexpr int64_t kColumns = 64;  // one owner per column block keeps the token order for every element
  c.threads.for_each((a.dy.cols + kColumns - 1) / kColumns, [&](int64_t block, int) {
    const int64_t last = std::min(a.dy.cols, (block + 1) * kColumns);
    for (int64_t n = 0; n < a.dy.rows; ++n)
      for (int64_t k = block * kColumns; k < last; ++k)
        write(a.dtable, a.tokens[n], k,
              read<W>(a.dtable, a.tokens[n], k) + W(a.scale) * W(load(a.dy.row<T>(n)[k])));
  });
}

}  // namespace lorikeet::ref
