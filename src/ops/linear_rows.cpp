#include "ops/linear_rows.h"

#include "ops/dora.h"
#include "ops/scratch.h"

namespace lorikeet {

namespace {

/// The adapter's part of backward when each slot drew its own mask: dA from the masked x, dX through the
/// mask. With DoRA the masked x went through the base as well: `dz` is free to hold that gradient.
void low_rank_backward_with_dropout(const Stream& stream, const LinearGroup& g, TensorView dlow,
                                    const GroupGradients& d, const SlotViews& dz, TensorView x,
                                    const RowDraws& draws) {
  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (!s.lora_b) continue;
    Scratch scratch(stream);
    const TensorView masked = scratch.get(x.shape(), x.dtype, "dropout.x");
    const TensorView dlow_i = dlow.columns(s.rank_at, s.rank);
    DropoutArgs drop = dropout_args(g, s, draws);
    drop.x = x;
    drop.y = masked;
    dispatch(stream, drop);
    dispatch(stream, TokenSumArgs{g.dlora_a.row_range(s.rank_at, s.rank), dlow_i, masked, 1});
    if (!d.dx) continue;
    const Weight a = Weight::dense(g.lora_a.row_range(s.rank_at, s.rank));
    LinearDxArgs through_mask{masked, false, 1, {dlow_i}, {&a}, {}, {}};
    if (s.dora) {
      const auto slot = static_cast<size_t>(i);
      // dy itself is in dx already
      dispatch(stream, ScaleColumnsArgs{dz[slot], d.dy[slot], s.dora.scale, -1, {}, {}});
      through_mask.dy[1] = dz[slot];
      through_mask.w[1] = &s.w;
      through_mask.count = 2;
    }
    dispatch(stream, through_mask);
    drop.x = masked;
    drop.y = d.dx;
    drop.accumulate = true;
    dispatch(stream, drop);
  }
}

/// Gradients of the adapters' factors: dlow = dz (sB), dB, and dA of what was not dropped.
void factors_backward(const Stream& stream, const LinearGroup& g, TensorView low, TensorView dlow,
                      const SlotViews& dz) {
  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (!s.lora_b) continue;
    const TensorView dzi = dz[static_cast<size_t>(i)];
    const Weight b = Weight::dense(s.lora_b);
    dispatch(stream, LinearDxArgs{dlow.columns(s.rank_at, s.rank), false, 1, {dzi}, {&b}, {}, {}});
    dispatch(stream, TokenSumArgs{s.dlora_b, dzi, low.columns(s.rank_at, s.rank), s.lora_scale});
  }
}

/// db += scale * the column sums of dy.
void bias_backward(const Stream& stream, TensorView db, TensorView dy, double scale) {
  if (scale == 1) return dispatch(stream, ColumnSumArgs{db, dy, {}, {}});
  Scratch scratch(stream);
  const TensorView sums = scratch.get(db.shape(), db.dtype, "linear.column_sums");
  dispatch(stream, ZeroArgs{sums});
  dispatch(stream, ColumnSumArgs{sums, dy, {}, {}});
  dispatch(stream, AddArgs{db, db, sums, scale});
}

/// Neighbouring rows are one product.
void rows_backward(const Stream& stream, const LearningRows& rows, TensorView dy, TensorView x) {
  const auto n = static_cast<int64_t>(rows.ids.size());
  for (int64_t first = 0, last = 0; first < n; first = last) {
    const int32_t* ids = rows.ids.data();
    for (last = first + 1; last < n && ids[last] == ids[last - 1] + 1;) ++last;
    dispatch(stream, TokenSumArgs{rows.grad.row_range(first, last - first),
                                  dy.columns(ids[first], last - first), x, 1});
  }
}

/// Gradients of the layer's own weight and bias.
void base_backward(const Stream& stream, const LinearSlot& s, TensorView dy, TensorView x) {
  if (s.dw) dispatch(stream, TokenSumArgs{s.dw, dy, x, 1});
  if (s.dbias) bias_backward(stream, s.dbias, dy, s.dbias_scale);
  if (s.rows) rows_backward(stream, s.rows, dy, x);
}

}  // namespace

bool drops(const LinearGroup& g, const RowDraws& draws) {
  return g.lora_a && draws.dropout.active && g.dropout > 0;
}

DropoutArgs dropout_args(const LinearGroup& g, const LinearSlot& s, const RowDraws& draws) {
  DropoutArgs a{};
  a.p = g.dropout;
  a.seed = draws.dropout.seed;
  a.stream = draws.dropout.stream(s.dropout_stream);
  a.batch = draws.batch;
  return a;
}

void low_rank_forward(const Stream& stream, const LinearGroup& g, TensorView low, TensorView x,
                      const RowDraws& draws) {
  if (!drops(g, draws)) {
    const Weight a = Weight::dense(g.lora_a);
    dispatch(stream, LinearArgs{low, x, &a, {}, {}, {}, {}});
    return;
  }
  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (!s.lora_b) continue;
    Scratch scratch(stream);
    DropoutArgs drop = dropout_args(g, s, draws);
    drop.x = x;
    drop.y = scratch.get(x.shape(), x.dtype, "dropout.x");
    dispatch(stream, drop);
    const Weight a = Weight::dense(g.lora_a.row_range(s.rank_at, s.rank));
    dispatch(stream, LinearArgs{low.columns(s.rank_at, s.rank), drop.y, &a, {}, {}, {}, {}});
  }
}

void slot_forward(const Stream& stream, const LinearSlot& s, TensorView y, TensorView x, TensorView low,
                  TensorView residual) {
  LinearArgs a{y, x, &s.w, s.bias, residual, {}, {}};
  if (s.lora_b) {
    a.low = low.columns(s.rank_at, s.rank);
    a.lora_b = s.lora_b;
  }
  a.lone = stream.lone;
  dispatch(stream, a);
}

void group_backward(const Stream& stream, const LinearGroup& g, TensorView x, const GroupKept& kept,
                    const GroupGradients& d, const RowDraws& draws) {
  const bool dropped = drops(g, draws);
  Scratch scratch(stream);
  SlotViews dz = d.dy;
  for (size_t i = 0; i < static_cast<size_t>(g.count); ++i) {
    const LinearSlot& s = g.slots[i];
    base_backward(stream, s, d.dy[i], x);
    if (!s.dora) continue;
    if (dropped || !d.own_dy) dz[i] = scratch.get(d.dy[i].shape(), d.dy[i].dtype, "dora.dz");
    dora_backward(stream, s, dz[i], d.dy[i], kept.z[i]);
  }
  TensorView dlow;
  if (g.lora_a) {
    dlow = scratch.get(kept.low.shape(), kept.low.dtype, "lora.dlow");
    factors_backward(stream, g, kept.low, dlow, dz);
    if (!dropped) dispatch(stream, TokenSumArgs{g.dlora_a, dlow, x, 1});
  }
  if (d.dx) {
    LinearDxArgs a{d.dx, d.accumulate, g.count, {}, {}, {}, {}};
    for (int i = 0; i < g.count; ++i) {
      a.dy[i] = (dropped ? d.dy : dz)[static_cast<size_t>(i)];
      a.w[i] = &g.slots[i].w;
    }
    if (g.lora_a && !dropped) {
      a.dlow = dlow;
      a.lora_a = g.lora_a;
    }
    dispatch(stream, a);
  }
  if (dropped) low_rank_backward_with_dropout(stream, g, dlow, d, dz, x, draws);
}

}  // namespace lorikeet
