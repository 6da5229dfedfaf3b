// Ops that the memory bounds, in a training step's shapes: bytes that must be read and written
// over the time, as GB/s, as a share of the H100's 3.35 TB/s (NVIDIA's data sheet, SXM5) and of a copy, and
// TF/s of those that multiply.
#include <cstdio>
#include <numeric>
#include <string>

#include "cuda/cuda_bench.h"

namespace lorikeet::bench {

namespace {

constexpr double kPeak = 3.35e12;
constexpr int64_t kTokens = 8192, kHidden = 4096, kIntermediate = 14336, kHeadDim = 128, kVocab = 128256;

/// A matrix of f32 or f64 numbers, small and positive.
struct Numbers {
  Numbers(int64_t rows, int64_t cols, DType type)
      : memory(static_cast<size_t>(rows * cols) * size_of(type)), view(memory.data(), {rows, cols}, type) {
    static const auto values = pattern<float>(
        [d = std::uniform_real_distribution<float>(0.1f, 1)]() mutable { return d(generator()); });
    memory.tile(values);
  }
  operator TensorView() const { return view; }
  Memory memory;
  TensorView view;
};

struct Indices {
  explicit Indices(const std::vector<int32_t>& values) : memory(values.size() * sizeof(int32_t)) {
    memory.tile(values);
  }
  const int32_t* data() const { return static_cast<const int32_t*>(memory.data()); }
  Memory memory;
};

/// Calls take turns at these parts of an operand, so that nothing stays in the cache.
constexpr int kTurns = 8;
TensorView part(const TensorView& all, int turn) {
  const int64_t rows = all.rows / kTurns;
  return all.row_range(turn % kTurns * rows, rows);
}
Matrix turns(int64_t cols) { return Matrix(kTurns * kTokens, cols); }

/// Times one op, args(turn), that must move so many bytes and compute so much.
template <class F>
void measure(const std::string& shape, size_t moved, double copy, const F& args, double flops = 0) {
  using Args = decltype(args(0));
  const Kernel<Args>& k = cuda_kernels<Args>()[0];
  const Memory workspace(1 + (k.workspace_bytes ? k.workspace_bytes(args(0), 1) : 0));
  const double ms = median_ms([&](int turn) { run_kernel(args(turn), workspace); });
  const double rate = static_cast<double>(moved) / ms * 1e3;
  std::printf(
      "{\"op\":\"%s\",\"shape\":\"%s\",\"us\":%.1f,\"GBs\":%.0f,\"percent_of_peak\":%.1f,"
      "\"percent_of_copy\":%.1f",
      Args::op_name, shape.c_str(), ms * 1e3, rate / 1e9, rate / kPeak * 100, rate / copy * 100);
  if (flops > 0) std::printf(",\"TFs\":%.1f", flops / ms / 1e9);
  std::printf("}\n");
  std::fflush(stdout);
}

constexpr size_t kRowBytes = static_cast<size_t>(kTokens * kHidden) * sizeof(Bf16);  // 64 MiB

void norms(double copy) {
  const Matrix x = turns(kHidden), y = turns(kHidden), dx = turns(kHidden), w(1, kHidden);
  const Numbers rstd(kTokens, 1, DType::f32), dw(1, kHidden, DType::f32);
  measure("8192x4096 bf16", 2 * kRowBytes, copy, [&](int i) {
    return RmsNormArgs{part(y, i), rstd, part(x, i), w, 1e-5};
  });
  measure("8192x4096 bf16", 3 * kRowBytes, copy,
          [&](int i) { return RmsNormBwdArgs{part(dx, i), {}, part(y, i), part(x, i), w, rstd}; });
  measure("8192x4096 bf16, accumulated", 4 * kRowBytes, copy,
          [&](int i) { return RmsNormBwdArgs{part(dx, i), {}, part(y, i), part(x, i), w, rstd, 0, true}; });
  measure("8192x4096 bf16, dw alone", 2 * kRowBytes, copy,
          [&](int i) { return RmsNormBwdArgs{{}, dw, part(y, i), part(x, i), w, rstd}; });
  const Numbers rstds(kTokens * kHidden / kHeadDim, 1, DType::f32);
  measure("262144x128 bf16", 2 * kRowBytes, copy, [&](int i) {
    return RmsNormArgs{part(y, i).reshaped(kHeadDim), rstds, part(x, i).reshaped(kHeadDim),
                       TensorView(w).columns(0, kHeadDim), 1e-5};
  });
  const Numbers stats(kTokens, 2, DType::f32);
  measure("8192x4096 bf16", 2 * kRowBytes, copy,
          [&](int i) { return LayerNormArgs{part(y, i), stats, part(x, i), w, w, 1e-5}; });
  measure("8192x4096 bf16", 3 * kRowBytes, copy,
          [&](int i) { return LayerNormBwdArgs{part(dx, i), {}, part(y, i), part(x, i), w, stats}; });
}

void columns(double copy) {
  const Matrix x = turns(kHidden), y = turns(kHidden), z = turns(kHidden);
  const Numbers db(1, kHidden, DType::f32), factor(1, kHidden, DType::f32);
  measure("8192x4096 bf16", kRowBytes, copy, [&](int i) { return ColumnSumArgs{db, part(x, i), {}, {}}; });
  measure("8192x4096 bf16, products", 2 * kRowBytes, copy, [&](int i) {
    return ColumnSumArgs{db, part(x, i), part(y, i), factor};
  });
  measure("8192x4096 bf16", 2 * kRowBytes, copy,
          [&](int i) { return ScaleColumnsArgs{part(y, i), part(x, i), factor, 0, factor, {}}; });
  measure("8192x4096 bf16, to a residual", 3 * kRowBytes, copy,
          [&](int i) { return ScaleColumnsArgs{part(y, i), part(x, i), factor, 0, {}, part(z, i)}; });
}

void draws(double copy) {
  const Matrix x = turns(kHidden), y = turns(kHidden);
  constexpr int32_t kLength = 512;
  std::vector<int32_t> at(kTokens);
  std::vector<RowSpan> rows;
  std::vector<int64_t> ids;
  for (int32_t n = 0; n < kTokens; ++n) at[static_cast<size_t>(n)] = n % kLength;
  for (int32_t n = 0; n < kTokens; n += kLength) {
    rows.push_back({n, kLength, n, kLength});
    ids.push_back(n);
  }
  const Indices positions(at);
  MicroBatch batch;
  batch.positions = {positions.data(), at.size()};
  batch.rows = rows;
  batch.row_ids = ids;
  measure("8192x4096 bf16", 2 * kRowBytes, copy,
          [&](int i) { return DropoutArgs{part(y, i), part(x, i), 0.1, 1, 2, &batch}; });
  measure("8192x4096 bf16, accumulated", 3 * kRowBytes, copy,
          [&](int i) { return DropoutArgs{part(y, i), part(x, i), 0.1, 1, 2, &batch, true}; });
  measure("8192x4096 bf16", 2 * kRowBytes, copy, [&](int i) {
    return NoiseArgs{part(y, i), 5, 1, 2, &batch};
  });
}

/// Gradients of an adapter's A and B: `wide` is the layer's input or output.
void adapters(int64_t wide, double copy) {
  const Matrix x = turns(wide);
  for (const int64_t rank : {16, 64}) {
    const Matrix low = turns(rank);
    const Numbers da(rank, wide, DType::f32), db(wide, rank, DType::f32);
    const auto bytes = static_cast<size_t>(kTokens * (wide + rank)) * sizeof(Bf16) + 2 * da.view.size_bytes();
    const double flops = 2.0 * static_cast<double>(kTokens * wide * rank);
    const auto name = [&](int64_t out, int64_t in) {
      return std::to_string(out) + "x" + std::to_string(in) + " of 8192 tokens, bf16";
    };
    measure(
        name(rank, wide), bytes, copy,
        [&](int i) {
          return TokenSumArgs{da, part(low, i), part(x, i)};
        },
        flops);
    measure(
        name(wide, rank), bytes, copy,
        [&](int i) {
          return TokenSumArgs{db, part(x, i), part(low, i), 2};
        },
        flops);
  }
}

void elements(double copy) {
  const Matrix x = turns(kHidden), y = turns(kHidden), z = turns(kHidden);
  const Numbers wide(kTurns * kTokens, kHidden, DType::f32), cos(kTokens, kHeadDim / 2, DType::f32),
      sin(kTokens, kHeadDim / 2, DType::f32);
  measure("8192x4096 bf16", 3 * kRowBytes, copy, [&](int i) {
    return AddArgs{part(z, i), part(x, i), part(y, i)};
  });
  measure("8192x4096 bf16", kRowBytes, copy, [&](int i) { return ZeroArgs{part(z, i)}; });
  measure("8192x4096 bf16 to f32", 3 * kRowBytes, copy, [&](int i) {
    return CastArgs{part(wide, i), part(x, i)};
  });
  measure("8192x4096 f32 to bf16", 3 * kRowBytes, copy, [&](int i) {
    return CastArgs{part(x, i), part(wide, i)};
  });
  std::vector<int32_t> positions(kTokens);
  std::iota(positions.begin(), positions.end(), 0);
  const Indices at(positions);
  measure("8192x32x128 bf16", 2 * kRowBytes, copy,
          [&](int i) { return RopeArgs{part(y, i), part(x, i), cos, sin, at.data(), kHeadDim, kHeadDim}; });
  measure("8192x32x128 bf16, in place", 2 * kRowBytes, copy,
          [&](int i) { return RopeArgs{part(y, i), part(y, i), cos, sin, at.data(), kHeadDim, kHeadDim}; });
}

void gates(double copy) {
  const Matrix gate = turns(kIntermediate), up = turns(kIntermediate), y = turns(kIntermediate),
               dgate = turns(kIntermediate), dup = turns(kIntermediate);
  constexpr size_t kBytes = static_cast<size_t>(kTokens * kIntermediate) * sizeof(Bf16);
  constexpr const char* kNames[] = {"8192x14336 bf16 silu", "8192x14336 bf16 gelu_tanh",
                                    "8192x14336 bf16 gelu"};
  for (const Activation kind : {Activation::silu, Activation::gelu_tanh, Activation::gelu}) {
    const char* name = kNames[static_cast<int>(kind)];
    measure(name, 3 * kBytes, copy, [&](int i) {
      return GatedActivationArgs{part(y, i), part(gate, i), part(up, i), kind};
    });
    measure(name, 5 * kBytes, copy, [&](int i) {
      return GatedActivationBwdArgs{part(dgate, i), part(dup, i), part(y, i),
                                    part(gate, i),  part(up, i),  kind};
    });
  }
}

void rows(double copy) {
  const Matrix table(kVocab, kHidden), y = turns(kHidden), x = turns(kHidden);
  std::vector<int32_t> ids(kTokens), order(kTokens);
  for (int32_t& id : ids) id = static_cast<int32_t>(generator()() % kVocab);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), generator());
  const Indices tokens(ids), at(order);
  const Weight w = Weight::dense(table);
  measure("8192x4096 bf16", 2 * kRowBytes, copy, [&](int i) {
    return EmbeddingArgs{part(y, i), &w, tokens.data()};
  });
  measure("8192x4096 bf16", 2 * kRowBytes, copy, [&](int i) {
    return GatherRowsArgs{part(y, i), part(x, i), at.data()};
  });
  measure("8192x4096 bf16", 2 * kRowBytes, copy, [&](int i) {
    return ScatterRowsArgs{part(y, i), part(x, i), at.data()};
  });
  const Numbers dtable(kVocab, kHidden, DType::f32);
  measure("8192x4096 bf16", 5 * kRowBytes, copy, [&](int i) {
    return EmbeddingBwdArgs{dtable, part(y, i), tokens.data()};
  });
}

void loss(double copy) {
  constexpr int64_t kRows = 1024;  // many times the cache
  const Numbers logits(kRows, kVocab, DType::f32), row_loss(kRows, 1, DType::f64), sum(1, 1, DType::f64);
  const Matrix dlogits(kRows, kVocab);
  const Indices target(std::vector<int32_t>(kRows, 17));
  const size_t bytes = logits.view.size_bytes();
  measure("1024x128256, loss alone", bytes, copy, [&](int) {
    return CrossEntropyArgs{{}, row_loss, sum, logits, target.data()};
  });
  measure("1024x128256, gradient in bf16, logits read twice", 2 * bytes + bytes / 2, copy, [&](int) {
    return CrossEntropyArgs{dlogits, row_loss, sum, logits, target.data()};
  });
  measure("1024x128256, a cap of 30", 2 * bytes, copy, [&](int) {
    return LogitCapArgs{logits, logits, 1, 30};
  });
}

void optimizer(double copy) {
  constexpr int64_t kCount = int64_t{40} << 20;  // a rank-16 adapter of a 7B model
  const Numbers p(1, kCount, DType::f32), g(1, kCount, DType::f32), m(1, kCount, DType::f32),
      v(1, kCount, DType::f32), sum(1, 1, DType::f64);
  const size_t bytes = p.view.size_bytes();
  measure("40Mi f32", 7 * bytes, copy, [&](int) {
    return AdamWArgs{p, g, m, v, {1e-4, 0.9, 0.999, 1e-8, 0.01, 1, 3}, {}, BlockRange::all(p)};
  });
  measure("40Mi f32", 3 * bytes, copy,
          [&](int) { return SgdArgs{p, g, 1e-4, 0.01, 1, {}, BlockRange::all(p)}; });
  measure("40Mi f32", bytes, copy, [&](int) { return SquareSumArgs{sum, g}; });
}

}  // namespace

void memory_rates(double copy) {
  norms(copy);
  columns(copy);
  elements(copy);
  draws(copy);
  gates(copy);
  rows(copy);
  loss(copy);
  optimizer(copy);
  for (const int64_t wide : {kHidden, kIntermediate}) adapters(wide, copy);
}

}  // namespace lorikeet::bench
