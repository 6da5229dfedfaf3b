#include "ops/linear.h"

#include <algorithm>

#include "ops/dora.h"
#include "ops/linear_rows.h"

namespace lorikeet {

namespace {

RowDraws draws_of(const Sequence& seq) { return {seq.batch, seq.dropout}; }

void taped_backward(Tape& t, const LinearGroup& g, Var x, const GroupKept& kept, const SlotViews& dy,
                    bool own_dy, const Sequence& seq) {
  bool reads_x = static_cast<bool>(g.lora_a);
  for (int i = 0; i < g.count; ++i) reads_x = reads_x || g.slots[i].dw;
  const TensorView xv = reads_x ? t.value(x) : TensorView{};  // rebuilt here, before the op scratch opens
  const Tape::Slot dx = t.needs_grad(x) ? t.grad_slot(x) : Tape::Slot{};
  const Tape::OpScratch scratch(t);
  group_backward(t.stream(), g, xv, kept, {dy, own_dy, dx.view, dx.accumulate}, draws_of(seq));
}

TensorView make_low(Tape& t, const LinearGroup& g, Var x, const Sequence& seq) {
  if (!g.lora_a) return {};
  const TensorView xv = t.value(x);
  const TensorView low = t.keep({xv.rows, g.lora_a.rows}, "lora.low");
  low_rank_forward(t.stream(), g, low, xv, draws_of(seq));
  return low;
}

/// dora_forward with the dropout of the current step.
TensorView dora_slot_forward(Tape& t, const LinearGroup& g, const LinearSlot& s, TensorView x, TensorView low,
                             TensorView residual, TensorView out, const Sequence& seq) {
  const RowDraws draws = draws_of(seq);
  const DropoutArgs dropout = dropout_args(g, s, draws);
  return dora_forward(t, s, x, low, residual, out, drops(g, draws) ? &dropout : nullptr);
}

}  // namespace

std::array<Var, 3> linear_group(Tape& t, const LinearGroup& group, Var x, const Sequence& seq) {
  const bool needs_grad = t.needs_grad(x) || group.learns();
  const TensorView xv = t.value(x);
  if (seq.observer) (*seq.observer)(group, xv);
  GroupKept kept{make_low(t, group, x, seq), {}};
  std::array<Var, 3> y;
  for (size_t i = 0; i < static_cast<size_t>(group.count); ++i) {
    const LinearSlot& s = group.slots[i];
    const Shape shape{xv.rows, s.w.rows};
    if (s.dora && !drops(group, draws_of(seq))) {  // z is kept anyway, and y is one multiplication away
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
      slot_forward(t.stream(), s, out, xv, kept.low, {});
    y[i] = t.stored(out, needs_grad);
  }
  t.on_backward(y[0], [y, x, kept, g = &group, seq = &seq](Tape& tape) {
    SlotViews dy;
    for (size_t i = 0; i < std::min(y.size(), static_cast<size_t>(g->count)); ++i) dy[i] = tape.grad(y[i]);
    taped_backward(tape, *g, x, kept, dy, /*own_dy=*/true, *seq);
  });
  return y;
}

Var linear_add(Tape& t, const LinearGroup& group, Var x, Var residual, TensorView out, const Sequence& seq) {
  if (seq.observer) (*seq.observer)(group, t.value(x));
  GroupKept kept{make_low(t, group, x, seq), {}};
  const LinearSlot& s = group.slots[0];
  if (s.dora)
    kept.z[0] = dora_slot_forward(t, group, s, t.value(x), kept.low, t.value(residual), out, seq);
  else if (out)
    slot_forward(t.stream(), s, out, t.value(x), kept.low, t.value(residual));
  const Var y = t.stored(out ? out : TensorView(nullptr, t.shape(residual), t.dtype()),
                         t.needs_grad(x) || t.needs_grad(residual) || group.learns());
  t.on_backward(y, [=, g = &group, seq = &seq](Tape& tape) {
    taped_backward(tape, *g, x, kept, {tape.grad(y)}, /*own_dy=*/false, *seq);
    tape.pass_grad(y, residual);
  });
  return y;
}

}  // namespace lorikeet
