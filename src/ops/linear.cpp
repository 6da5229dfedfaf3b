#include "ops/linear.h"

#include <algorithm>

#include "ops/dora.h"

namespace lorikeet {

namespace {

DropoutArgs dropout_args(const LinearGroup& g, const LinearSlot& s, const Sequence& seq) {
  DropoutArgs a{};
  a.p = g.dropout;
  a.seed = seq.dropout.seed;
  a.stream = seq.dropout.stream(s.dropout_stream);
  a.batch = seq.batch;
  return a;
}

bool drops(const LinearGroup& g, const Sequence& seq) { return seq.dropout.active && g.dropout > 0; }

/// low = A x for the whole group; with dropout slot by slot, each from its own masked copy of x.
void low_rank_forward(Tape& t, const LinearGroup& g, TensorView low, TensorView x, const Sequence& seq) {
  if (!drops(g, seq)) {
    const Weight a = Weight::dense(g.lora_a);
    t.run(LinearArgs{low, x, &a, {}, {}, {}, {}});
    return;
  }
  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (!s.lora_b) continue;
    Tape::OpScratch scratch(t);
    DropoutArgs drop = dropout_args(g, s, seq);
    drop.x = x;
    drop.y = scratch.get(x.shape(), x.dtype, "dropout.x");
    t.run(drop);
    const Weight a = Weight::dense(g.lora_a.row_range(s.rank_at, s.rank));
    t.run(LinearArgs{low.columns(s.rank_at, s.rank), drop.y, &a, {}, {}, {}, {}});
  }
}

void slot_forward(Tape& t, const LinearSlot& s, TensorView y, TensorView x, TensorView low,
                  TensorView residual) {
  LinearArgs a{y, x, &s.w, s.bias, residual, {}, {}};
  if (s.lora_b) {
    a.low = low.columns(s.rank_at, s.rank);
    a.lora_b = s.lora_b;
  }
  t.run(a);
}

/// One view for each slot of a group.
using SlotViews = std::array<TensorView, 3>;

/// The adapter's part of backward when each slot drew its own mask: dA from the masked x, dX through the
/// mask. With DoRA the masked x went through the base as well: `dz` is free to hold that gradient.
void low_rank_backward_with_dropout(Tape& t, const LinearGroup& g, TensorView dlow, const SlotViews& dy,
                                    const SlotViews& dz, TensorView x, TensorView dx, const Sequence& seq) {
  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (!s.lora_b) continue;
    Tape::OpScratch scratch(t);
    const TensorView masked = scratch.get(x.shape(), x.dtype, "dropout.x");
    const TensorView dlow_i = dlow.columns(s.rank_at, s.rank);
    DropoutArgs drop = dropout_args(g, s, seq);
    drop.x = x;
    drop.y = masked;
    t.run(drop);
    t.run(TokenSumArgs{g.dlora_a.row_range(s.rank_at, s.rank), dlow_i, masked, 1});
    if (!dx) continue;
    const Weight a = Weight::dense(g.lora_a.row_range(s.rank_at, s.rank));
    LinearDxArgs through_mask{masked, false, 1, {dlow_i}, {&a}, {}, {}};
    if (s.dora) {
      const auto slot = static_cast<size_t>(i);
      t.run(ScaleColumnsArgs{dz[slot], dy[slot], s.dora.scale, -1, {}, {}});  // dy itself is in dx already
      through_mask.dy[1] = dz[slot];
      through_mask.w[1] = &s.w;
      through_mask.count = 2;
    }
    t.run(through_mask);
    drop.x = masked;
    drop.y = dx;
    drop.accumulate = true;
    t.run(drop);
  }
}

/// Gradients of the adapters' factors: dlow = dz (sB), dB, and dA of what was not dropped.
void factors_backward(Tape& t, const LinearGroup& g, TensorView low, TensorView dlow, const SlotViews& dz) {
  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (!s.lora_b) continue;
    const TensorView dzi = dz[static_cast<size_t>(i)];
    const Weight b = Weight::dense(s.lora_b);
    t.run(LinearDxArgs{dlow.columns(s.rank_at, s.rank), false, 1, {dzi}, {&b}, {}, {}});
    t.run(TokenSumArgs{s.dlora_b, dzi, low.columns(s.rank_at, s.rank), s.lora_scale});
  }
}

/// What forward keeps of a group beside its outputs.
struct GroupKept {
  TensorView low;  ///< A x of all slots
  SlotViews z;     ///< of the slots with DoRA
};

/// Backward of the whole group: dy[i] are the slots' output gradients, `own_dy` says that nobody reads them
/// afterwards.
void group_backward(Tape& t, const LinearGroup& g, Var x, const GroupKept& kept, const SlotViews& dy,
                    bool own_dy, const Sequence& seq) {
  bool reads_x = static_cast<bool>(g.lora_a);
  for (int i = 0; i < g.count; ++i) reads_x = reads_x || g.slots[i].dw;
  const TensorView xv = reads_x ? t.value(x) : TensorView{};  // rebuilt here, before the op scratch opens
  const Tape::Slot dx = t.needs_grad(x) ? t.grad_slot(x) : Tape::Slot{};
  const bool dropped = g.lora_a && drops(g, seq);

  Tape::OpScratch scratch(t);
  SlotViews dz = dy;
  for (size_t i = 0; i < static_cast<size_t>(g.count); ++i) {
    const LinearSlot& s = g.slots[i];
    if (s.dw) t.run(TokenSumArgs{s.dw, dy[i], xv, 1});
    if (s.dbias) t.run(ColumnSumArgs{s.dbias, dy[i], {}, {}});
    if (!s.dora) continue;
    if (dropped || !own_dy) dz[i] = scratch.get(dy[i].shape(), dy[i].dtype, "dora.dz");
    dora_backward(t, s, dz[i], dy[i], kept.z[i]);
  }
  TensorView dlow;
  if (g.lora_a) {
    dlow = scratch.get(kept.low.shape(), kept.low.dtype, "lora.dlow");
    factors_backward(t, g, kept.low, dlow, dz);
    if (!dropped) t.run(TokenSumArgs{g.dlora_a, dlow, xv, 1});
  }
  if (dx.view) {
    LinearDxArgs a{dx.view, dx.accumulate, g.count, {}, {}, {}, {}};
    for (int i = 0; i < g.count; ++i) {
      a.dy[i] = (dropped ? dy : dz)[static_cast<size_t>(i)];
      a.w[i] = &g.slots[i].w;
    }
    if (g.lora_a && !dropped) {
      a.dlow = dlow;
      a.lora_a = g.lora_a;
    }
    t.run(a);
  }
  if (dropped) low_rank_backward_with_dropout(t, g, dlow, dy, dz, xv, dx.view, seq);
}

TensorView make_low(Tape& t, const LinearGroup& g, Var x, const Sequence& seq) {
  if (!g.lora_a) return {};
  const TensorView xv = t.value(x);
  const TensorView low = t.keep({xv.rows, g.lora_a.rows}, "lora.low");
  low_rank_forward(t, g, low, xv, seq);
  return low;
}

/// dora_forward with the dropout of the current step.
TensorView dora_slot_forward(Tape& t, const LinearGroup& g, const LinearSlot& s, TensorView x, TensorView low,
                             TensorView residual, TensorView out, const Sequence& seq) {
  const DropoutArgs dropout = dropout_args(g, s, seq);
  return dora_forward(t, s, x, low, residual, out, drops(g, seq) ? &dropout : nullptr);
}

}  // namespace

std::array<Var, 3> linear_group(Tape& t, const LinearGroup& group, Var x, const Sequence& seq) {
  const bool needs_grad = t.needs_grad(x) || group.learns();
  const TensorView xv = t.value(x);
  GroupKept kept{make_low(t, group, x, seq), {}};
  std::array<Var, 3> y;
  for (size_t i = 0; i < static_cast<size_t>(group.count); ++i) {
    const LinearSlot& s = group.slots[i];
    const Shape shape{xv.rows, s.w.rows};
    if (s.dora && !drops(group, seq)) {  // z is kept anyway, and y is one multiplication away
      const TensorView z = kept.z[i] = dora_slot_forward(t, group, s, xv, kept.low, {}, {}, seq);
      y[i] = t.rebuilt(shape, "linear.y", needs_grad, [z, slot = &s](Tape& tape, TensorView out) {
        tape.run(ScaleColumnsArgs{out, z, slot->dora.scale, 0, slot->bias, {}});
      });
      continue;
    }
    const TensorView out = t.keep(shape, "linear.y");
    if (s.dora)
      kept.z[i] = dora_slot_forward(t, group, s, xv, kept.low, {}, out, seq);
    else
      slot_forward(t, s, out, xv, kept.low, {});
    y[i] = t.stored(out, needs_grad);
  }
  t.on_backward(y[0], [y, x, kept, g = &group, seq = &seq](Tape& tape) {
    SlotViews dy;
    for (size_t i = 0; i < std::min(y.size(), static_cast<size_t>(g->count)); ++i) dy[i] = tape.grad(y[i]);
    group_backward(tape, *g, x, kept, dy, /*own_dy=*/true, *seq);
  });
  return y;
}

Var linear_add(Tape& t, const LinearGroup& group, Var x, Var residual, TensorView out, const Sequence& seq) {
  GroupKept kept{make_low(t, group, x, seq), {}};
  const LinearSlot& s = group.slots[0];
  if (s.dora)
    kept.z[0] = dora_slot_forward(t, group, s, t.value(x), kept.low, t.value(residual), out, seq);
  else if (out)
    slot_forward(t, s, out, t.value(x), kept.low, t.value(residual));
  const Var y = t.stored(out ? out : TensorView(nullptr, t.shape(residual), t.dtype()),
                         t.needs_grad(x) || t.needs_grad(residual) || group.learns());
  t.on_backward(y, [=, g = &group, seq = &seq](Tape& tape) {
    group_backward(tape, *g, x, kept, {tape.grad(y)}, /*own_dy=*/false, *seq);
    tape.pass_grad(y, residual);
  });
  return y;
}

}  // namespace lorikeet
