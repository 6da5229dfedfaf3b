#include "backend/cpu/product.h"

#include <algorithm>
#include <cstring>

namespace lorikeet::cpu {

namespace {

constexpr int64_t kPanelUnits = 2048;  // 512 KiB of a 64-column panel: half of a common L2
constexpr int64_t kPanelSlack = 512;   // a little more in one piece is better than a short second one
constexpr int64_t kFewRows = 48;       // up to here the panel is read so rarely that it should not leave L1
constexpr int64_t kPanelUnitsFewRows = 64;
constexpr int64_t kPrefetchRows = 256;  // with more, reading the weights is a small part
constexpr int64_t kNarrowBelow = 4096;  // outputs; a product of few rows is then handed out in smaller items
constexpr int64_t kChunkRows = 48;      // rows between two uses of the f32 tile, which then stays in L1

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

/// How a product of some number of rows is cut into work items: the first panels are each one item and so
/// packed once, the rows of the last ones are split, so that all threads end together.
struct Cut {
  int64_t rows, panel_units, panels, whole_panels, splits, split_rows;
  bool one_block, few = true;
  int64_t width = simd::kPanelColumns;
  int threads;

  Cut(const Product& p, int64_t units, int64_t all_rows, int thread_count)
      : rows(all_rows), threads(thread_count) {
    const int64_t most = rows <= kFewRows ? kPanelUnitsFewRows : kPanelUnits;
    one_block = units <= (rows <= kFewRows ? most : most + kPanelSlack);
    panel_units = one_block ? units : most;
    for (int i = 0; i < p.count; ++i) few = few && p.terms[i].b.has_few(rows);
    if (few && p.out.cols < kNarrowBelow) width = 16;
    panels = (p.out.cols + width - 1) / width;
    // In several blocks an item keeps the sums of all its rows, which must stay small.
    whole_panels = one_block ? (panels - 1) / threads * threads : 0;
    split(row_splits(rows, panels - whole_panels, threads));
  }
  int64_t items() const { return whole_panels + (panels - whole_panels) * splits; }
  int64_t tile_rows() const {
    return one_block ? std::min(whole_panels ? rows : split_rows, kChunkRows + 1) : split_rows;
  }
  /// More splits, until the tile of each has room.
  void fit_tile(int64_t room) {
    if (tile_rows() <= room) return;
    whole_panels = 0;
    split((rows + room - 1) / room);
  }
  /// Columns from a panel to the one that this thread will probably take next.
  int64_t ahead(int64_t panel) const {
    return width * (panel < whole_panels ? threads : (threads + splits - 1) / splits);
  }

 private:
  void split(int64_t n) {
    splits = n;
    split_rows = (rows + n - 1) / n;
  }
};

size_t ordered_pair_bytes(const Product::Term& t) { return aligned(static_cast<size_t>(t.a.cols) * 2); }

int64_t units_of(const Product& p) {
  int64_t units = 0;
  for (int i = 0; i < p.count; ++i) units += (p.terms[i].a.cols + p.ops->unit - 1) / p.ops->unit;
  return units;
}

/// Where everything lies, derived from shapes alone.
struct Layout : Cut {
  int unit;
  // Offsets of shared parts.
  size_t wide[Product::kMaxTerms] = {}, tails[Product::kMaxTerms] = {}, ordered[Product::kMaxTerms] = {},
         bias = 0;
  size_t threads_at = 0, panel_bytes, tile_bytes, thread_bytes;

  Layout(const Product& p, int thread_count)
      : Cut(p, units_of(p), p.out.rows, thread_count), unit(p.ops->unit) {
    // What the planned rows need, the fewer rows fit into.
    const int64_t most_rows = std::max(p.out.rows, p.planned_rows), cols = p.out.cols;
    const Cut planned(p, units_of(p), most_rows, thread_count);
    fit_tile(planned.tile_rows());

    size_t at = 0;
    for (int i = 0; i < p.count; ++i) {
      const Product::Term& t = p.terms[i];
      if (unit == 1 && t.a.dtype != DType::f32) {
        wide[i] = at;
        at += aligned(static_cast<size_t>(most_rows * t.a.cols) * 4);
      }
      if (t.a.cols % unit != 0) {
        tails[i] = at;
        at += aligned(static_cast<size_t>(most_rows) * 4);
      }
      if (p.lone && t.b.has_lone()) {
        ordered[i] = at;
        at += ordered_pair_bytes(t) + aligned(static_cast<size_t>(t.a.cols / simd::OrderedRow::kOrdered) * 4);
      }
    }
    bias = at;
    if (p.bias) at += aligned(static_cast<size_t>(cols) * 4);
    threads_at = at;

    panel_bytes = static_cast<size_t>(planned.panel_units) * 4 * simd::kPanelColumns;
    tile_bytes = static_cast<size_t>(planned.tile_rows()) * 4 * simd::kPanelColumns;
    thread_bytes = aligned(panel_bytes + tile_bytes + RightSide::kScratchBytes);
  }
  size_t total() const { return threads_at + static_cast<size_t>(threads) * thread_bytes; }
};

struct Run {
  const Product& p;
  const Layout& layout;
  char* workspace;
  const char* a[Product::kMaxTerms];     // rows of units
  int64_t a_stride[Product::kMaxTerms];  // bytes

  void prepare(ThreadPool& threads);
  /// Whether the term is a lone row's.
  bool lone(int term) const { return p.lone && p.out.rows == 1 && p.terms[term].b.has_lone(); }
  simd::OrderedRow ordered(int term) const {
    char* at = workspace + layout.ordered[term];
    return {at, reinterpret_cast<float*>(at + ordered_pair_bytes(p.terms[term]))};
  }
  void item(int64_t index, int thread) const;
  void finish(const float* c, int64_t row0, int64_t rows, int64_t col0, int cols) const;
};

/// Widened activations, the half unit at the end of odd contractions, the bias as f32.
void Run::prepare(ThreadPool& threads) {
  const int64_t rows = p.out.rows;
  for (int i = 0; i < p.count; ++i) {
    const TensorView v = p.terms[i].a;
    a[i] = static_cast<const char*>(v.data);
    a_stride[i] = v.stride * static_cast<int64_t>(size_of(v.dtype));
    if (layout.unit == 1 && v.dtype != DType::f32) {
      char* wide = workspace + layout.wide[i];
      threads.for_each(rows, [&](int64_t r, int) {
        p.ops->convert(element_of(v.dtype), a[i] + r * a_stride[i], v.cols, wide + r * v.cols * 4);
      });
      a[i] = wide;
      a_stride[i] = v.cols * 4;
    }
    if (v.cols % layout.unit != 0) {
      char* tails = workspace + layout.tails[i];
      for (int64_t r = 0; r < rows; ++r) {
        std::memset(tails + 4 * r, 0, 4);
        std::memcpy(tails + 4 * r, a[i] + r * a_stride[i] + (v.cols - 1) * 2, 2);
      }
    }
  }
  for (int i = 0; i < p.count; ++i)
    if (lone(i)) p.terms[i].b.order(a[i], ordered(i));
  if (p.bias)
    p.table->f32->convert(element_of(p.bias.dtype), static_cast<const char*>(p.bias.data), p.bias.cols,
                          workspace + layout.bias);
}

void Run::finish(const float* c, int64_t row0, int64_t rows, int64_t col0, int cols) const {
  const auto at = [&](const TensorView& v) {
    return static_cast<char*>(v.data) + (row0 * v.stride + col0) * static_cast<int64_t>(size_of(v.dtype));
  };
  simd::Finish f{};
  f.out = at(p.out);
  f.out_stride = p.out.stride * static_cast<int64_t>(size_of(p.out.dtype));
  f.out_type = element_of(p.out.dtype);
  if (p.add) {
    f.add = at(p.add);
    f.add_stride = p.add.stride * static_cast<int64_t>(size_of(p.add.dtype));
    f.add_type = element_of(p.add.dtype);
  }
  if (p.bias) f.bias = reinterpret_cast<const float*>(workspace + layout.bias) + col0;
  f.scale = 1;
  p.table->vector.finish(c, rows, cols, f);
}

void Run::item(int64_t index, int thread) const {
  // Items of one panel follow each other, so that threads which share a panel read the same weights from the
  // cache.
  const int64_t part = index - layout.whole_panels;
  const bool whole = part < 0;
  const int64_t panel_index = whole ? index : layout.whole_panels + part / layout.splits;
  const int64_t row0 = whole ? 0 : part % layout.splits * layout.split_rows;
  const int64_t rows = std::min(whole ? p.out.rows : layout.split_rows, p.out.rows - row0);
  if (rows <= 0) return;
  const int64_t ahead = layout.ahead(panel_index), col0 = panel_index * layout.width;
  const int cols = static_cast<int>(std::min(layout.width, p.out.cols - col0));
  const int vectors = (cols + 15) / 16;
  char* panel = workspace + layout.threads_at + static_cast<size_t>(thread) * layout.thread_bytes;
  float* c = reinterpret_cast<float*>(panel + layout.panel_bytes);
  char* scratch = panel + layout.panel_bytes + layout.tile_bytes;
  const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;

  if (layout.few) {
    for (int i = 0; i < p.count; ++i) {
      const RightSide& b = p.terms[i].b;
      for (int v = 0; v < vectors; ++v) {
        const int n = std::min(16, cols - 16 * v);
        if (lone(i))
          b.multiply_lone(col0 + 16 * v, n, ordered(i), c + 16 * v, i > 0, ahead);
        else
          b.multiply_few(col0 + 16 * v, n, a[i], a_stride[i], static_cast<int>(rows), c + 16 * v, i > 0,
                         ahead, scratch);
      }
    }
    finish(c, 0, rows, col0, cols);
    return;
  }
  int term = 0;
  int64_t k = 0;
  for (bool first = true; term < p.count; first = false) {
    simd::Segment segments[simd::kMaxSegments];
    int count = 0;
    for (int64_t used = 0; term < p.count && used < layout.panel_units;) {
      const Product::Term& t = p.terms[term];
      const int64_t room = (layout.panel_units - used) * layout.unit, left = t.a.cols - k;
      const int64_t take = left <= room ? left : room / 64 * 64;  // decoders start at multiples of 64
      if (take == 0) break;
      char* b = panel + used * 64 * vectors;
      t.b.pack(col0, cols, k, take, vectors, b, scratch);
      if (p.out.rows <= kPrefetchRows) t.b.prefetch_panel(col0 + ahead, layout.width, k, take);
      const int64_t whole = take / layout.unit;
      if (whole)
        segments[count++] = {a[term] + k * (4 / layout.unit) + row0 * a_stride[term], a_stride[term], b,
                             whole};
      if (take % layout.unit)
        segments[count++] = {workspace + layout.tails[term] + 4 * row0, 4, b + whole * 64 * vectors, 1};
      used += (take + layout.unit - 1) / layout.unit;
      k += take;
      if (k == t.a.cols) {
        ++term;
        k = 0;
      }
    }
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t r0 = rows * chunk / chunks, height = rows * (chunk + 1) / chunks - r0;
      float* tile = layout.one_block ? c : c + r0 * simd::kPanelColumns;
      p.ops->multiply(segments, count, height, vectors, tile, !first);
      for (int i = 0; i < count; ++i) segments[i].a += height * segments[i].a_stride;
      if (term == p.count) finish(tile, row0 + r0, height, col0, cols);
    }
  }
}

}  // namespace

const simd::PanelOps& panel_ops(const simd::Table& table, DType compute) {
  return compute == DType::bf16 && table.bf16 ? *table.bf16 : *table.f32;
}

int64_t row_splits(int64_t rows, int64_t panels, int threads) {
  if (threads == 1) return 1;
  constexpr double kPackRows = 8;  // packing a panel costs as much as about 8 rows of its product
  int64_t best = 1;
  double best_time = 0;
  for (int64_t splits = 1; splits <= 16 && (splits == 1 || rows / splits >= 24); ++splits) {
    const int64_t item_rows = (rows + splits - 1) / splits, items = (panels * splits + threads - 1) / threads;
    // Half an item more: the threads do not run equally fast, so the last item ends late.
    const double time = (static_cast<double>(item_rows) + kPackRows) * (static_cast<double>(items) + 0.5);
    if (splits == 1 || time < best_time) {
      best = splits;
      best_time = time;
    }
  }
  return best;
}

size_t product_workspace_bytes(const Product& p, int threads) { return Layout(p, threads).total(); }

void run_product(const Product& p, const KernelContext& context) {
  if (p.out.rows == 0 || p.out.cols == 0) return;
  const Layout layout(p, context.threads.size());
  Run run{p, layout, static_cast<char*>(context.workspace), {}, {}};
  run.prepare(context.threads);
  context.threads.for_each(layout.items(), [&](int64_t item, int thread) { run.item(item, thread); });
}

}  // namespace lorikeet::cpu
