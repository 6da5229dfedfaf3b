#include "backend/cpu/attention.h"

#include <cmath>

#include "backend/cpu/attention_block.h"

namespace lorikeet::cpu {

namespace {

constexpr int64_t kPanels = 4;  // panels of 64 lanes to an item, at least

/// Buffers of one thread.
struct Buffers {
  char* queries;   // [panels][d units][64]
  float* outputs;  // [panels][d][64]
  float* maximum;
  float* sum;
  float *scores, *factor, *low, *high, *rows;
  char *panel, *values, *wide_keys, *wide_values;

  Buffers(Carver& c, int64_t panels, int64_t d, bool widen)
      : queries(c.take<char>(panels * d * kBlock * 4)),
        outputs(c.take<float>(panels * d * kBlock * 4)),
        maximum(c.take<float>(panels * kBlock * 4)),
        sum(c.take<float>(panels * kBlock * 4)),
        scores(c.take<float>(kTileBytes)),
        factor(c.take<float>(kBlock * 4)),
        low(c.take<float>(kBlock * 4)),
        high(c.take<float>(kBlock * 4)),
        rows(c.take<float>(kBlock * d * 4)),
        panel(c.take<char>(kTileBytes)),
        values(c.take<char>(d * kBlock * 4)),
        wide_keys(widen ? c.take<char>(kBlock * d * 4) : nullptr),
        wide_values(widen ? c.take<char>(kBlock * d * 4) : nullptr) {}
};

struct Forward {
  const AttentionArgs& a;
  const simd::Table& t;
  const simd::PanelOps& ops;
  int64_t d, group;

  Forward(const simd::Table& table, const AttentionArgs& args)
      : a(args),
        t(table),
        ops(panel_ops(table, args.q.dtype)),
        d(args.heads.dim),
        group(args.heads.q / args.heads.kv) {}

  bool widen() const { return ops.unit == 1 && a.q.dtype != DType::f32; }
  /// With few queries (one generated token) the lanes hold all heads of the group at once.
  bool merged(const RowSpan& r) const { return r.q_count * group <= kBlock; }
  /// Query blocks that share the transposed values: with few heads to a group several of them make one item.
  int64_t item_blocks() const { return (kPanels + group - 1) / group; }
  int64_t row_items(const RowSpan& r) const {
    return (blocks_of(r.q_count) + item_blocks() - 1) / item_blocks() * a.heads.kv;
  }
  Buffers buffers(char* base) const {
    Carver c{base};
    return Buffers(c, group * item_blocks(), d, widen());
  }
  size_t thread_bytes() const {
    Carver c{nullptr};
    Buffers(c, group * item_blocks(), d, widen());
    return c.used;
  }
  size_t index_bytes() const { return aligned64((a.rows.size() + 1) * sizeof(int64_t)); }

  /// The lanes of one panel: queries [q0, q0 + nq) of `heads` heads from `head` on, head by head.
  struct Lanes {
    int64_t head, heads, q0, nq;
    int64_t count() const { return heads * nq; }
    int vectors() const { return static_cast<int>((count() + 15) / 16); }
    int64_t query(int64_t lane) const { return q0 + lane % nq; }
    int64_t head_of(int64_t lane) const { return head + lane / nq; }
  };

  void pack_queries(const RowSpan& r, const Lanes& lanes, const Buffers& b, char* panel) const {
    const auto size = static_cast<int64_t>(size_of(a.q.dtype));
    for (int v = 0; v < lanes.vectors(); ++v) {
      const char* rows[16];
      const int n = static_cast<int>(std::min<int64_t>(16, lanes.count() - 16 * v));
      for (int i = 0; i < n; ++i) {
        const int64_t lane = 16 * v + i;
        rows[i] = row_of(a.q, r.q_begin + lanes.query(lane)) + lanes.head_of(lane) * d * size;
        if (widen()) {
          char* wide = b.wide_keys + i * d * 4;
          ops.convert(element_of(a.q.dtype), rows[i], d, wide);
          rows[i] = wide;
        }
      }
      ops.pack_columns(rows, n, d, panel + 64 * v, 64 * lanes.vectors());
    }
  }

  void store(const RowSpan& r, const Lanes& lanes, const Buffers& b, float* outputs, const float* maximum,
             float* sum) const {
    if (a.lse)
      for (int64_t lane = 0; lane < lanes.count(); ++lane)
        a.lse.row<float>(r.q_begin + lanes.query(lane))[lanes.head_of(lane)] =
            maximum[lane] + std::log(sum[lane]);
    for (int lane = 0; lane < 16 * lanes.vectors(); ++lane) sum[lane] = 1 / sum[lane];
    t.vector.scale_lanes(outputs, d, lanes.vectors(), sum);
    t.vector.transpose(4, reinterpret_cast<const char*>(outputs), kBlock * 4, d, lanes.count(),
                       reinterpret_cast<char*>(b.rows), d * 4);
    for (int64_t lane = 0; lane < lanes.count(); ++lane)
      t.vector.scale_row(simd::Element::f32, reinterpret_cast<const char*>(b.rows + lane * d), 1, false,
                         element_of(a.o.dtype),
                         row_of(a.o, r.q_begin + lanes.query(lane)) +
                             lanes.head_of(lane) * d * static_cast<int64_t>(size_of(a.o.dtype)),
                         d);
  }

  /// One panel of an item: its lanes and the positions of its first and last query among the keys.
  struct Panel {
    Lanes lanes;
    int64_t first, last, begin;  // begin: first key block
    int index;
  };
  Panel panel_of(const RowSpan& r, int64_t kv_head, int64_t item_block, int64_t p) const {
    const bool all = merged(r);
    const int64_t q0 = (item_block * item_blocks() + (all ? 0 : p / group)) * kBlock;
    Panel x{};
    x.lanes = {kv_head * group + (all ? 0 : p % group), all ? group : 1, q0,
               std::min<int64_t>(kBlock, r.q_count - q0)};
    x.first = r.k_count - r.q_count + q0;
    x.last = x.first + x.lanes.nq - 1;
    x.begin = a.window > 0 ? std::max<int64_t>(0, x.first - a.window + 1) / kBlock * kBlock : 0;
    x.index = static_cast<int>(p);
    return x;
  }
  int64_t panel_count(const RowSpan& r, int64_t item_block) const {
    if (merged(r)) return 1;
    return std::min(item_blocks(), blocks_of(r.q_count) - item_block * item_blocks()) * group;
  }

  void item(const RowSpan& r, int64_t kv_head, int64_t item_block, const Buffers& b) const {
    const int64_t panels = panel_count(r, item_block);
    for (int64_t p = 0; p < panels; ++p)
      pack_queries(r, panel_of(r, kv_head, item_block, p).lanes, b, b.queries + p * d * kBlock * 4);
    std::fill_n(b.maximum, panels * kBlock, -1e30f);
    std::fill_n(b.sum, panels * kBlock, 0.0f);
    const int64_t last = panel_of(r, kv_head, item_block, panels - 1).last;
    for (int64_t key = panel_of(r, kv_head, item_block, 0).begin; key <= last; key += kBlock) {
      const int64_t nk = std::min(kBlock, last + 1 - key);
      const RowsView keys = rows_of(a.k, r.k_begin + key, nk, kv_head * d, d, ops, b.wide_keys);
      transpose_block(t, ops, rows_of(a.v, r.k_begin + key, nk, kv_head * d, d, ops, b.wide_values), nk, d,
                      b.values);
      for (int64_t p = 0; p < panels; ++p) {
        const Panel x = panel_of(r, kv_head, item_block, p);
        if (key >= x.begin && key <= x.last) add_keys(r, x, keys, key, std::min(nk, x.last + 1 - key), b);
      }
    }
    for (int64_t p = 0; p < panels; ++p)
      store(r, panel_of(r, kv_head, item_block, p).lanes, b, b.outputs + p * d * kBlock,
            b.maximum + p * kBlock, b.sum + p * kBlock);
  }

  /// The keys [key, key + nk) for one panel of queries.
  void add_keys(const RowSpan& r, const Panel& x, const RowsView& keys, int64_t key, int64_t nk,
                const Buffers& b) const {
    const int vectors = x.lanes.vectors();
    const bool hidden = partly_hidden(x.first, x.last, a.window, key, nk);
    if (hidden)
      for (int lane = 0; lane < 16 * vectors; ++lane)
        Visibility{b.low, b.high}.set(lane, r.k_count - r.q_count + x.lanes.query(lane), a.window, key);
    const simd::Segment qk = {keys.data, keys.stride, b.queries + x.index * d * kBlock * 4, d / ops.unit};
    ops.multiply(&qk, 1, nk, vectors, b.scores, false);
    float* outputs = b.outputs + x.index * d * kBlock;
    const simd::ScoreBlock s = {b.scores,
                                static_cast<int>(nk),
                                vectors,
                                static_cast<float>(a.scale),
                                static_cast<float>(a.softcap),
                                hidden ? b.low : nullptr,
                                hidden ? b.high : nullptr};
    const bool changed =
        ops.attention.softmax(s, b.maximum + x.index * kBlock, b.sum + x.index * kBlock, b.factor, b.panel);
    if (changed && key != x.begin) t.vector.scale_lanes(outputs, d, vectors, b.factor);
    const simd::Segment pv = {b.values, kBlock * 4 / ops.unit, b.panel, (nk + ops.unit - 1) / ops.unit};
    ops.multiply(&pv, 1, d, vectors, outputs, key != x.begin);
  }
};

}  // namespace

const char* AttentionOp::reject(const AttentionArgs& a) { return reject_attention(a.q.dtype, a.heads); }

size_t AttentionOp::workspace_bytes(const simd::Table& t, const AttentionArgs& a, int threads) {
  const Forward f(t, a);
  return f.index_bytes() + static_cast<size_t>(threads) * f.thread_bytes();
}

void AttentionOp::run(const simd::Table& t, const AttentionArgs& a, const KernelContext& c) {
  const Forward f(t, a);
  auto* first_item = static_cast<int64_t*>(c.workspace);
  first_item[0] = 0;
  for (size_t r = 0; r < a.rows.size(); ++r) first_item[r + 1] = first_item[r] + f.row_items(a.rows[r]);
  const int64_t* end = first_item + a.rows.size() + 1;
  char* threads_at = static_cast<char*>(c.workspace) + f.index_bytes();
  const size_t thread_bytes = f.thread_bytes();
  c.threads.for_each(end[-1], [&](int64_t item, int thread) {
    const int64_t r = std::upper_bound<const int64_t*>(first_item, end, item) - first_item - 1;
    const RowSpan& row = a.rows[static_cast<size_t>(r)];
    const int64_t local = item - first_item[r], kv = a.heads.kv;
    // The last queries of a row see the most keys: they go first, so that the threads end together.
    const int64_t item_block = (first_item[r + 1] - first_item[r]) / kv - 1 - local / kv;
    f.item(row, local % kv, item_block, f.buffers(threads_at + static_cast<size_t>(thread) * thread_bytes));
  });
}

}  // namespace lorikeet::cpu
