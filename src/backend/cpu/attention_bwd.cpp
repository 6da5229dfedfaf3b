// One pass per key/value head and row: for each of its query heads, key block by key block, all five
// products. dK and dV of a key block are summed over the query blocks in order, dQ of a query block over the
// key blocks in order.
#include "backend/cpu/attention.h"
#include "backend/cpu/attention_block.h"

namespace lorikeet::cpu {

namespace {

/// Sizes shared by all items.
struct Shape {
  const simd::Table& t;
  const simd::PanelOps& ops;
  int64_t d, d_panels, group, q_blocks = 0, k_blocks = 0;
  bool widen;

  Shape(const simd::Table& table, const AttentionBwdArgs& a)
      : t(table),
        ops(panel_ops(table, a.q.dtype)),
        d(a.heads.dim),
        d_panels(blocks_of(a.heads.dim)),
        group(a.heads.q / a.heads.kv),
        widen(ops.unit == 1 && a.q.dtype != DType::f32) {
    for (const RowSpan& r : a.rows) {
      q_blocks = std::max(q_blocks, blocks_of(r.q_count));
      k_blocks = std::max(k_blocks, blocks_of(r.k_count));
    }
  }
  int64_t tile() const { return d * kBlock; }                    // elements of a block of one head
  int64_t padded() const { return d_panels * kBlock * kBlock; }  // the same as panels of 64 columns
};

/// What one query head needs of all its query blocks, and the sums of dK and dV.
struct Buffers {
  char *q_columns, *q_rows, *do_columns, *do_rows;  // packed along d and along the queries
  float *dq, *lse, *delta;
  float *dk_sum, *dv_sum;  // [k_blocks][d panels][64][64]
  float *dk, *dv, *scores, *dp, *low, *high, *rows;
  char *p_rows, *ds_rows, *ds_panel, *keys, *wide;

  Buffers(Carver& c, const Shape& s)
      : q_columns(c.take<char>(s.q_blocks * s.tile() * 4 / s.ops.unit)),
        q_rows(c.take<char>(s.q_blocks * s.padded() * 4 / s.ops.unit)),
        do_columns(c.take<char>(s.q_blocks * s.tile() * 4 / s.ops.unit)),
        do_rows(c.take<char>(s.q_blocks * s.padded() * 4 / s.ops.unit)),
        dq(c.take<float>(s.q_blocks * s.tile() * 4)),
        lse(c.take<float>(s.q_blocks * kBlock * 4)),
        delta(c.take<float>(s.q_blocks * kBlock * 4)),
        dk_sum(c.take<float>(s.k_blocks * s.padded() * 4)),
        dv_sum(c.take<float>(s.k_blocks * s.padded() * 4)),
        dk(c.take<float>(s.padded() * 4)),
        dv(c.take<float>(s.padded() * 4)),
        scores(c.take<float>(kTileBytes)),
        dp(c.take<float>(kTileBytes)),
        low(c.take<float>(kBlock * 4)),
        high(c.take<float>(kBlock * 4)),
        rows(c.take<float>(kBlock * s.d * 4)),
        p_rows(c.take<char>(kTileBytes)),
        ds_rows(c.take<char>(kTileBytes)),
        ds_panel(c.take<char>(kTileBytes)),
        keys(c.take<char>(s.tile() * 4)),
        wide(s.widen ? c.take<char>(4 * s.tile() * 4) : nullptr) {}
};

struct Backward {
  const AttentionBwdArgs& a;
  const Shape& s;
  const Buffers& b;
  const RowSpan& r;
  int64_t kv_head;

  char* wide(int i) const { return b.wide ? b.wide + i * s.tile() * 4 : nullptr; }

  void pack(const RowsView& rows, int64_t nq, char* columns, char* along) const {
    const int vectors = static_cast<int>((nq + 15) / 16);
    const char* at[kBlock];
    for (int64_t i = 0; i < nq; ++i) at[i] = rows.row(i);
    for (int v = 0; v < vectors; ++v)
      s.ops.pack_columns(at + 16 * v, static_cast<int>(std::min<int64_t>(16, nq - 16 * v)), s.d,
                         columns + 64 * v, 64 * vectors);
    for (int64_t panel = 0; panel < s.d_panels; ++panel) {
      const int cols = static_cast<int>(std::min(kBlock, s.d - panel * kBlock));
      for (int64_t i = 0; i < nq; ++i) at[i] = rows.row(i) + panel * kBlock * 4 / s.ops.unit;
      s.ops.pack_rows(at, static_cast<int>(nq), cols, along + panel * kBlock * kBlock * 4 / s.ops.unit,
                      (cols + 15) / 16 * 64);
    }
  }

  void pack_head(int64_t head) const {
    const int64_t unit = s.ops.unit;
    for (int64_t i = 0; i < blocks_of(r.q_count); ++i) {
      const int64_t q0 = i * kBlock, nq = std::min(kBlock, r.q_count - q0), n = r.q_begin + q0;
      const RowsView q = rows_of(a.q, n, nq, head * s.d, s.d, s.ops, wide(0));
      const RowsView dout = rows_of(a.dout, n, nq, head * s.d, s.d, s.ops, wide(1));
      pack(q, nq, b.q_columns + i * s.tile() * 4 / unit, b.q_rows + i * s.padded() * 4 / unit);
      pack(dout, nq, b.do_columns + i * s.tile() * 4 / unit, b.do_rows + i * s.padded() * 4 / unit);
      const int64_t at = head * s.d * static_cast<int64_t>(size_of(a.o.dtype));
      for (int64_t x = 0; x < kBlock; ++x) {
        float delta = 0, lse = 0;
        if (x < nq) {
          delta = typed(s.t, a.o.dtype).dot(row_of(a.dout, n + x) + at, row_of(a.o, n + x) + at, s.d);
          lse = a.lse.row<float>(n + x)[head];
          a.delta.row<float>(n + x)[head] = delta;
        }
        b.delta[q0 + x] = delta;
        b.lse[q0 + x] = lse;
      }
    }
  }

  /// The five products of one key block and one query block.
  void pair(const RowsView& keys, const RowsView& values, int64_t key, int64_t nk, int64_t i,
            bool first_query, bool first_key) const {
    const int64_t unit = s.ops.unit, q0 = i * kBlock, nq = std::min(kBlock, r.q_count - q0);
    const int vectors = static_cast<int>((nq + 15) / 16);
    const int64_t first = r.k_count - r.q_count + q0;
    const simd::Segment qk = {keys.data, keys.stride, b.q_columns + i * s.tile() * 4 / unit, s.d / unit};
    const simd::Segment dov = {values.data, values.stride, b.do_columns + i * s.tile() * 4 / unit,
                               s.d / unit};
    s.ops.multiply(&qk, 1, nk, vectors, b.scores, false);
    s.ops.multiply(&dov, 1, nk, vectors, b.dp, false);
    const bool hidden = partly_hidden(first, first + nq - 1, a.window, key, nk);
    if (hidden)
      for (int lane = 0; lane < 16 * vectors; ++lane)
        Visibility{b.low, b.high}.set(lane, first + lane, a.window, key);
    const simd::ScoreBlock block = {b.scores,
                                    static_cast<int>(nk),
                                    vectors,
                                    static_cast<float>(a.scale),
                                    static_cast<float>(a.softcap),
                                    hidden ? b.low : nullptr,
                                    hidden ? b.high : nullptr};
    s.ops.attention.gradient(block, b.dp, b.lse + q0, b.delta + q0, b.p_rows, b.ds_rows, b.ds_panel);

    const int64_t row_stride = kBlock * 4 / unit, q_units = (nq + unit - 1) / unit;
    for (int64_t panel = 0; panel < s.d_panels; ++panel) {
      const int width = static_cast<int>((std::min(kBlock, s.d - panel * kBlock) + 15) / 16);
      const int64_t at = i * s.padded() * 4 / unit + panel * kBlock * kBlock * 4 / unit;
      const simd::Segment p_do = {b.p_rows, row_stride, b.do_rows + at, q_units};
      const simd::Segment ds_q = {b.ds_rows, row_stride, b.q_rows + at, q_units};
      s.ops.multiply(&p_do, 1, nk, width, b.dv + panel * kBlock * kBlock, !first_query);
      s.ops.multiply(&ds_q, 1, nk, width, b.dk + panel * kBlock * kBlock, !first_query);
    }
    const simd::Segment k_ds = {b.keys, row_stride, b.ds_panel, (nk + unit - 1) / unit};
    s.ops.multiply(&k_ds, 1, s.d, vectors, b.dq + i * s.tile(), !first_key);
  }

  /// First and last query block that see something of the keys [key, key + nk).
  int64_t first_block(int64_t key) const {
    return std::max<int64_t>(0, key - (r.k_count - r.q_count)) / kBlock;
  }
  int64_t last_block(int64_t key, int64_t nk) const {
    const int64_t last = blocks_of(r.q_count) - 1;
    if (a.window <= 0) return last;
    const int64_t query = key + nk - 1 + a.window - 1 - (r.k_count - r.q_count);
    return query < 0 ? -1 : std::min(last, query / kBlock);
  }
  /// First key block that query block i sees.
  int64_t first_key(int64_t i) const {
    return a.window > 0 ? std::max<int64_t>(0, r.k_count - r.q_count + i * kBlock - a.window + 1) / kBlock
                        : 0;
  }

  void add(const float* tile, float* sum, bool set) const {
    for (int64_t x = 0; x < s.padded(); ++x) sum[x] = set ? tile[x] : sum[x] + tile[x];
  }

  /// One query head. dk_sum and dv_sum are set by the first head and added to by the others, each head's part
  /// summed by itself, so that heads may also be computed apart.
  void head(int64_t index, bool first_head, float* dk_sum, float* dv_sum) const {
    pack_head(index);
    for (int64_t block = 0; block < blocks_of(r.k_count); ++block) {
      const int64_t key = block * kBlock, nk = std::min(kBlock, r.k_count - key), at = block * s.padded();
      const RowsView keys = rows_of(a.k, r.k_begin + key, nk, kv_head * s.d, s.d, s.ops, wide(2));
      const RowsView values = rows_of(a.v, r.k_begin + key, nk, kv_head * s.d, s.d, s.ops, wide(3));
      const int64_t begin = first_block(key), end = last_block(key, nk);
      if (begin > end) {
        std::fill_n(b.dk, s.padded(), 0.0f);
        std::fill_n(b.dv, s.padded(), 0.0f);
      } else {
        transpose_block(s.t, s.ops, keys, nk, s.d, b.keys);
      }
      for (int64_t i = begin; i <= end; ++i)
        pair(keys, values, key, nk, i, i == begin, block == first_key(i));
      add(b.dk, dk_sum + at, first_head);
      add(b.dv, dv_sum + at, first_head);
    }
    store_dq(index);
  }

  void store_dq(int64_t head) const {
    for (int64_t i = 0; i < blocks_of(r.q_count); ++i) {
      const int64_t nq = std::min(kBlock, r.q_count - i * kBlock);
      s.t.vector.transpose(4, reinterpret_cast<const char*>(b.dq + i * s.tile()), kBlock * 4, s.d, nq,
                           reinterpret_cast<char*>(b.rows), s.d * 4);
      for (int64_t x = 0; x < nq; ++x)
        s.t.vector.scale_row(
            simd::Element::f32, reinterpret_cast<const char*>(b.rows + x * s.d), 1, false,
            element_of(a.dq.dtype),
            row_of(a.dq, r.q_begin + i * kBlock + x) + head * s.d * static_cast<int64_t>(size_of(a.dq.dtype)),
            s.d);
    }
  }

  void store_keys(const float* sum, const TensorView& out) const {
    for (int64_t block = 0; block < blocks_of(r.k_count); ++block)
      for (int64_t panel = 0; panel < s.d_panels; ++panel) {
        simd::Finish f{};
        f.out = row_of(out, r.k_begin + block * kBlock) +
                (kv_head * s.d + panel * kBlock) * static_cast<int64_t>(size_of(out.dtype));
        f.out_stride = row_bytes(out);
        f.out_type = element_of(out.dtype);
        f.scale = 1;
        s.t.vector.finish(sum + block * s.padded() + panel * kBlock * kBlock,
                          std::min(kBlock, r.k_count - block * kBlock),
                          static_cast<int>(std::min(kBlock, s.d - panel * kBlock)), f);
      }
  }
};

/// With few rows and key/value heads every query head is an item, and a second pass adds dK and dV over the
/// group.
bool by_query_head(const AttentionBwdArgs& a, const Shape& s, int threads) {
  return s.group > 1 && static_cast<int64_t>(a.rows.size()) * a.heads.kv < 4 * threads && threads > 1;
}
size_t sum_elements(const Shape& s) { return static_cast<size_t>(s.k_blocks * s.padded()); }
size_t shared_sums(const AttentionBwdArgs& a, const Shape& s) {
  return a.rows.size() * static_cast<size_t>(a.heads.q) * 2 * sum_elements(s);
}
size_t thread_bytes(const Shape& s) {
  Carver c{nullptr};
  Buffers(c, s);
  return c.used;
}

}  // namespace

const char* AttentionBwdOp::reject(const AttentionBwdArgs& a) { return reject_attention(a.q.dtype, a.heads); }

size_t AttentionBwdOp::workspace_bytes(const simd::Table& t, const AttentionBwdArgs& a, int threads) {
  const Shape s(t, a);
  // Few rows are split by query head, many are not. A plan for the largest batch must hold for every smaller
  // one, so the sums of the most rows that would be split count always.
  const auto rows = static_cast<int64_t>(a.rows.size());
  const int64_t split_rows =
      s.group > 1 && threads > 1 ? std::min<int64_t>(rows, (4 * threads - 1) / a.heads.kv) : 0;
  const size_t shared = static_cast<size_t>(split_rows * a.heads.q) * 2 * sum_elements(s) * sizeof(float);
  return shared + static_cast<size_t>(threads) * thread_bytes(s);
}

void AttentionBwdOp::run(const simd::Table& t, const AttentionBwdArgs& a, const KernelContext& c) {
  const Shape s(t, a);
  const bool split = by_query_head(a, s, c.threads.size());
  auto* shared = static_cast<float*>(c.workspace);
  char* threads_at = static_cast<char*>(c.workspace) + (split ? shared_sums(a, s) * sizeof(float) : 0);
  const size_t bytes = thread_bytes(s);
  const auto rows = static_cast<int64_t>(a.rows.size());
  const auto with = [&](int64_t row, int64_t kv_head, int thread, const auto& f) {
    Carver carver{threads_at + static_cast<size_t>(thread) * bytes};
    const Buffers b(carver, s);
    f(Backward{a, s, b, a.rows[static_cast<size_t>(row)], kv_head}, b);
  };
  const auto sums = [&](int64_t row, int64_t head) {
    return shared + static_cast<size_t>(row * a.heads.q + head) * 2 * sum_elements(s);
  };
  if (!split) {
    c.threads.for_each(rows * a.heads.kv, [&](int64_t item, int thread) {
      with(item / a.heads.kv, item % a.heads.kv, thread, [&](const Backward& back, const Buffers& b) {
        for (int64_t h = 0; h < s.group; ++h)
          back.head(back.kv_head * s.group + h, h == 0, b.dk_sum, b.dv_sum);
        back.store_keys(b.dk_sum, a.dk);
        back.store_keys(b.dv_sum, a.dv);
      });
    });
    return;
  }
  c.threads.for_each(rows * a.heads.q, [&](int64_t item, int thread) {
    const int64_t row = item / a.heads.q, head = item % a.heads.q;
    with(row, head / s.group, thread, [&](const Backward& back, const Buffers&) {
      back.head(head, true, sums(row, head), sums(row, head) + sum_elements(s));
    });
  });
  c.threads.for_each(rows * a.heads.kv, [&](int64_t item, int thread) {
    const int64_t row = item / a.heads.kv, kv_head = item % a.heads.kv;
    with(row, kv_head, thread, [&](const Backward& back, const Buffers&) {
      const auto k_blocks = blocks_of(back.r.k_count) * s.padded();
      float* total = sums(row, kv_head * s.group);
      for (int64_t h = 1; h < s.group; ++h) {
        const float* part = sums(row, kv_head * s.group + h);
        for (int64_t x = 0; x < k_blocks; ++x) total[x] += part[x];
        part += sum_elements(s);
        for (int64_t x = 0; x < k_blocks; ++x) total[static_cast<int64_t>(sum_elements(s)) + x] += part[x];
      }
      back.store_keys(total, a.dk);
      back.store_keys(total + sum_elements(s), a.dv);
    });
  });
}

}  // namespace lorikeet::cpu
