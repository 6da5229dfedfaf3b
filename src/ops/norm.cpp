#include "ops/norm.h"

namespace lorikeet {

int64_t norm_stats(const NormSlot& norm) { return norm.kind == NormKind::rms ? 1 : 2; }

void norm_rows(const Stream& stream, const NormSlot& n, TensorView y, TensorView stats, TensorView x) {
  if (n.kind == NormKind::rms)
    dispatch(stream, RmsNormArgs{y, stats, x, n.w, n.eps, n.weight_offset});
  else
    dispatch(stream, LayerNormArgs{y, stats, x, n.w, n.b, n.eps});
}

void norm_rows_backward(const Stream& stream, const NormSlot& n, TensorView dx, TensorView dy, TensorView x,
                        TensorView stats, bool accumulate) {
  if (n.db) dispatch(stream, ColumnSumArgs{n.db, dy, {}, {}});  // before dx, which may overwrite dy
  if (n.kind == NormKind::rms)
    dispatch(stream, RmsNormBwdArgs{dx, n.dw, dy, x, n.w, stats, n.weight_offset, accumulate});
  else
    dispatch(stream, LayerNormBwdArgs{dx, n.dw, dy, x, n.w, stats, accumulate});
}

Var norm(Tape& t, Var x, const NormSlot& slot) {
  const int64_t group = slot.w.cols;
  const TensorView stats =
      t.keep({t.shape(x).count() / group, norm_stats(slot)}, t.stat(), "norm.statistics");
  const bool needs_grad = t.needs_grad(x) || slot.learns();
  const Var y = t.rebuilt(t.shape(x), "norm.y", needs_grad, [=, n = &slot](Tape& tape, TensorView out) {
    norm_rows(tape.stream(), *n, out.reshaped(group), stats, tape.value(x).reshaped(group));
  });
  t.on_backward(y, [=, n = &slot](Tape& tape) {
    const TensorView xv = tape.value(x);
    const Tape::Slot dx = tape.needs_grad(x) ? tape.grad_slot(x) : Tape::Slot{};
    norm_rows_backward(tape.stream(), *n, dx.view ? dx.view.reshaped(group) : TensorView{},
                       tape.grad(y).reshaped(group), xv.reshaped(group), stats, dx.accumulate);
  });
  return y;
}

}  // namespace lorikeet
