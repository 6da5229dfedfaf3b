#include "ops/linear.h"

#include <algorithm>

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

/// The adapter's part of backward when each slot drew its own mask: dA from the masked x, dX through the
/// mask.
void low_rank_backward_with_dropout(Tape& t, const LinearGroup& g, TensorView dlow, TensorView x,
                                    TensorView dx, const Sequence& seq) {
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
    t.run(LinearDxArgs{masked, false, 1, {dlow_i}, {&a}, {}, {}});
    drop.x = masked;
    drop.y = dx;
    drop.accumulate = true;
    t.run(drop);
  }
}

/// Backward of the whole group: dy[i] are the slots' output gradients.
void group_backward(Tape& t, const LinearGroup& g, Var x, TensorView low, const std::array<TensorView, 3>& dy,
                    const Sequence& seq) {
  bool reads_x = static_cast<bool>(g.lora_a);
  for (int i = 0; i < g.count; ++i) reads_x = reads_x || g.slots[i].dw;
  const TensorView xv = reads_x ? t.value(x) : TensorView{};  // rebuilt here, before the op scratch opens
  const Tape::Slot dx = t.needs_grad(x) ? t.grad_slot(x) : Tape::Slot{};

  for (int i = 0; i < g.count; ++i) {
    const LinearSlot& s = g.slots[i];
    if (s.dw) t.run(TokenSumArgs{s.dw, dy[static_cast<size_t>(i)], xv, 1});
    if (s.dbias) t.run(ColumnSumArgs{s.dbias, dy[static_cast<size_t>(i)]});
  }
  Tape::OpScratch scratch(t);
  TensorView dlow;
  if (g.lora_a) {
    dlow = scratch.get(low.shape(), low.dtype, "lora.dlow");
    for (int i = 0; i < g.count; ++i) {
      const LinearSlot& s = g.slots[i];
      if (!s.lora_b) continue;
      const TensorView dyi = dy[static_cast<size_t>(i)];
      const Weight b = Weight::dense(s.lora_b);
      t.run(LinearDxArgs{dlow.columns(s.rank_at, s.rank), false, 1, {dyi}, {&b}, {}, {}});
      t.run(TokenSumArgs{s.dlora_b, dyi, low.columns(s.rank_at, s.rank), s.lora_scale});
    }
  }
  const bool dropped = g.lora_a && drops(g, seq);
  if (g.lora_a && !dropped) t.run(TokenSumArgs{g.dlora_a, dlow, xv, 1});
  if (dx.view) {
    LinearDxArgs a{dx.view, dx.accumulate, g.count, {}, {}, {}, {}};
    for (int i = 0; i < g.count; ++i) {
      a.dy[i] = dy[static_cast<size_t>(i)];
      a.w[i] = &g.slots[i].w;
    }
    if (g.lora_a && !dropped) {
      a.dlow = dlow;
      a.lora_a = g.lora_a;
    }
    t.run(a);
  }
  if (dropped) low_rank_backward_with_dropout(t, g, dlow, xv, dx.view, seq);
}

TensorView make_low(Tape& t, const LinearGroup& g, Var x, const Sequence& seq) {
  if (!g.lora_a) return {};
  const TensorView xv = t.value(x);
  const TensorView low = t.keep({xv.rows, g.lora_a.rows}, "lora.low");
  low_rank_forward(t, g, low, xv, seq);
  return low;
}

}  // namespace

std::array<Var, 3> linear_group(Tape& t, const LinearGroup& group, Var x, const Sequence& seq) {
  const bool needs_grad = t.needs_grad(x) || group.learns();
  const TensorView xv = t.value(x);
  const TensorView low = make_low(t, group, x, seq);
  std::array<Var, 3> y;
  for (int i = 0; i < group.count; ++i) {
    const LinearSlot& s = group.slots[i];
    const TensorView out = t.keep({xv.rows, s.w.rows}, "linear.y");
    slot_forward(t, s, out, xv, low, {});
    y[static_cast<size_t>(i)] = t.stored(out, needs_grad);
  }
  t.on_backward(y[0], [y, x, low, g = &group, seq = &seq](Tape& tape) {
    std::array<TensorView, 3> dy;
    for (size_t i = 0; i < std::min(y.size(), static_cast<size_t>(g->count)); ++i) dy[i] = tape.grad(y[i]);
    group_backward(tape, *g, x, low, dy, *seq);
  });
  return y;
}

Var linear_add(Tape& t, const LinearGroup& group, Var x, Var residual, TensorView out, const Sequence& seq) {
  const TensorView low = make_low(t, group, x, seq);
  if (out) slot_forward(t, group.slots[0], out, t.value(x), low, t.value(residual));
  const Var y = t.stored(out ? out : TensorView(nullptr, t.shape(residual), t.dtype()),
                         t.needs_grad(x) || t.needs_grad(residual) || group.learns());
  t.on_backward(y, [=, g = &group, seq = &seq](Tape& tape) {
    group_backward(tape, *g, x, low, {tape.grad(y)}, *seq);
    tape.pass_grad(y, residual);
  });
  return y;
}

}  // namespace lorikeet
