#include "ops/norm.h"

namespace lorikeet {

Var rms_norm(Tape& t, Var x, const NormSlot& norm, double eps, double weight_offset) {
  const int64_t group = norm.w.cols;
  const TensorView rstd = t.keep({t.shape(x).count() / group, 1}, t.stat(), "norm.rstd");
  const bool needs_grad = t.needs_grad(x) || norm.learns();
  const Var y = t.rebuilt(t.shape(x), "norm.y", needs_grad, [=, n = &norm](Tape& tape, TensorView out) {
    tape.run(RmsNormArgs{out.reshaped(group), rstd, tape.value(x).reshaped(group), n->w, eps, weight_offset});
  });
  t.on_backward(y, [=, n = &norm](Tape& tape) {
    const TensorView xv = tape.value(x);
    const Tape::Slot dx = tape.needs_grad(x) ? tape.grad_slot(x) : Tape::Slot{};
    tape.run(RmsNormBwdArgs{dx.view ? dx.view.reshaped(group) : TensorView{}, n->dw,
                            tape.grad(y).reshaped(group), xv.reshaped(group), n->w, rstd, weight_offset,
                            dx.accumulate});
  });
  return y;
}

}  // namespace lorikeet
