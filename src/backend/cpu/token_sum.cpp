// Gradients of weights: dw += scale * dy^T x. The tokens are the contraction, so the narrower of dy and x is
// transposed and the wider one is packed; with a rank of 16 to 64 on one side that copy is small.
#include <algorithm>
#include <cstring>

#include "backend/cpu/linear.h"
#include "backend/cpu/product.h"

namespace lorikeet::cpu {

namespace {

constexpr int64_t kChunkRows = 48;
constexpr int64_t kTransposeTokens = 64;

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

struct Layout {
  const simd::PanelOps& ops;
  TensorView narrow, wide;
  bool swapped;  // the narrow side is x, so sums come out transposed
  int64_t width, panels, splits, split_rows, stride;
  size_t narrow_bytes, widened_bytes = 0, panel_bytes, tile_bytes, sum_bytes, thread_bytes;

  Layout(const simd::Table& t, const TokenSumArgs& a, int threads) : ops(panel_ops(t, a.x.dtype)) {
    swapped = a.dy.cols > a.x.cols;
    narrow = swapped ? a.x : a.dy;
    wide = swapped ? a.dy : a.x;
    const int64_t few = 8 * threads * simd::kPanelColumns;
    width = threads > 1 && wide.cols < few ? 32 : simd::kPanelColumns;
    panels = (wide.cols + width - 1) / width;
    splits = row_splits(narrow.cols, panels, threads);
    split_rows = (narrow.cols + splits - 1) / splits;
    // One cache line more than the tokens: rows that lie a power of two apart would share their cache sets.
    stride = static_cast<int64_t>(aligned(static_cast<size_t>(narrow.rows) * (4 / ops.unit)) + 64);
    narrow_bytes = aligned(static_cast<size_t>(narrow.cols * stride));
    if (ops.unit == 1 && narrow.dtype != DType::f32)
      widened_bytes = aligned(static_cast<size_t>(narrow.count()) * 4);
    panel_bytes = static_cast<size_t>(kTokenChunk / ops.unit) * 4 * simd::kPanelColumns;
    tile_bytes = static_cast<size_t>(kChunkRows) * 4 * simd::kPanelColumns;
    sum_bytes = swapped ? static_cast<size_t>(split_rows) * 4 * simd::kPanelColumns : 0;
    thread_bytes = aligned(panel_bytes + tile_bytes + sum_bytes + RightSide::kScratchBytes);
  }
  size_t total(int threads) const {
    return narrow_bytes + widened_bytes + static_cast<size_t>(threads) * thread_bytes;
  }
};

struct Run {
  const TokenSumArgs& a;
  const simd::Table& table;
  const Layout& l;
  char* workspace;

  void transpose_narrow(ThreadPool& threads) const {
    const char* in = static_cast<const char*>(l.narrow.data);
    int64_t in_stride = l.narrow.stride * static_cast<int64_t>(size_of(l.narrow.dtype));
    if (l.widened_bytes) {
      char* widened = workspace + l.narrow_bytes;
      threads.for_each(l.narrow.rows, [&](int64_t n, int) {
        l.ops.convert(element_of(l.narrow.dtype), in + n * in_stride, l.narrow.cols,
                      widened + n * l.narrow.cols * 4);
      });
      in = widened;
      in_stride = l.narrow.cols * 4;
    }
    const int size = 4 / l.ops.unit;
    const int64_t n = l.narrow.rows;
    threads.for_each((n + kTransposeTokens - 1) / kTransposeTokens, [&](int64_t block, int) {
      const int64_t first = block * kTransposeTokens;
      table.vector.transpose(size, in + first * in_stride, in_stride, std::min(kTransposeTokens, n - first),
                             l.narrow.cols, workspace + first * size, l.stride);
    });
    if (n % l.ops.unit)
      for (int64_t r = 0; r < l.narrow.cols; ++r) std::memset(workspace + r * l.stride + n * size, 0, 2);
  }

  void item(int64_t panel_index, int64_t split, int thread) const {
    const int64_t row0 = split * l.split_rows, rows = std::min(l.split_rows, l.narrow.cols - row0);
    if (rows <= 0) return;
    const int64_t col0 = panel_index * l.width;
    const int cols = static_cast<int>(std::min(l.width, l.wide.cols - col0));
    const int vectors = (cols + 15) / 16;
    char* panel = workspace + l.narrow_bytes + l.widened_bytes + static_cast<size_t>(thread) * l.thread_bytes;
    float* tile = reinterpret_cast<float*>(panel + l.panel_bytes);
    char* sum = panel + l.panel_bytes + l.tile_bytes;
    int64_t sum_stride = 4 * simd::kPanelColumns;
    char* scratch = sum + l.sum_bytes;
    const int64_t dw_stride = a.dw.stride * 4;
    char* dw = static_cast<char*>(a.dw.data) +
               (l.swapped ? col0 * dw_stride + row0 * 4 : row0 * dw_stride + col0 * 4);
    if (l.swapped) {
      table.vector.transpose(4, dw, dw_stride, cols, rows, sum, sum_stride);
    } else {
      sum = dw;
      sum_stride = dw_stride;
    }
    const RightSide right(l.wide, RightSide::Axis::rows, l.ops);
    const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
    for (int64_t token = 0; token < l.narrow.rows; token += kTokenChunk) {
      const int64_t n = std::min(kTokenChunk, l.narrow.rows - token);
      right.pack(col0, cols, token, n, vectors, panel, scratch);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const int64_t r0 = rows * chunk / chunks, height = rows * (chunk + 1) / chunks - r0;
        const simd::Segment s = {workspace + (row0 + r0) * l.stride + token * (4 / l.ops.unit), l.stride,
                                 panel, (n + l.ops.unit - 1) / l.ops.unit};
        l.ops.multiply(&s, 1, height, vectors, tile, false);
        char* out = sum + r0 * sum_stride;
        table.vector.finish(tile, height, cols,
                            {out, sum_stride, simd::Element::f32, out, sum_stride, simd::Element::f32,
                             nullptr, static_cast<float>(a.scale)});
      }
    }
    if (l.swapped) table.vector.transpose(4, sum, sum_stride, rows, cols, dw, dw_stride);
  }
};

}  // namespace

const char* TokenSumOp::reject(const TokenSumArgs& a) {
  if (!is_compute_type(a.x.dtype) || a.dy.dtype != a.x.dtype) return "computes in bf16 and f32 only";
  return a.dw.dtype == DType::f32 ? nullptr : "the gradient must be f32";
}
size_t TokenSumOp::workspace_bytes(const simd::Table& t, const TokenSumArgs& a, int threads) {
  return Layout(t, a, threads).total(threads);
}
void TokenSumOp::run(const simd::Table& t, const TokenSumArgs& a, const KernelContext& c) {
  if (a.x.rows == 0) return;
  const Layout layout(t, a, c.threads.size());
  const Run run{a, t, layout, static_cast<char*>(c.workspace)};
  run.transpose_narrow(c.threads);
  c.threads.for_each(layout.panels * layout.splits, [&](int64_t item, int thread) {
    run.item(item / layout.splits, item % layout.splits, thread);
  });
}

}  // namespace lorikeet::cpu
