#include "ops/add.h"

namespace lorikeet {

Var add(Tape& t, Var a, Var b, double scale, TensorView out) {
  if (out) t.run(AddArgs{out, t.value(a), t.value(b), scale});
  const Var y =
      t.stored(out ? out : TensorView(nullptr, t.shape(a), t.dtype()), t.needs_grad(a) || t.needs_grad(b));
  t.on_backward(y, [=](Tape& tape) {
    if (tape.needs_grad(b)) {
      if (scale == 1)
        tape.give_grad(b, tape.grad(y), true);
      else
        tape.run(CastArgs{tape.grad_slot(b).view, tape.grad(y), scale});
    }
    tape.pass_grad(y, a);
  });
  return y;
}

}  // namespace lorikeet
