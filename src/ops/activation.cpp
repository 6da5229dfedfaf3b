#include "ops/activation.h"

namespace lorikeet {

Var gated_activation(Tape& t, Var gate, Var up, Activation activation) {
  const bool needs_grad = t.needs_grad(gate) || t.needs_grad(up);
  const Var y = t.rebuilt(t.shape(gate), "activation.y", needs_grad, [=](Tape& tape, TensorView out) {
    tape.run(GatedActivationArgs{out, tape.value(gate), tape.value(up), activation});
  });
  t.on_backward(y, [=](Tape& tape) {
    const TensorView g = tape.value(gate), u = tape.value(up);
    const TensorView dgate = tape.grad_over_value(gate), dup = tape.grad_over_value(up);
    tape.run(GatedActivationBwdArgs{dgate, dup, tape.grad(y), g, u, activation});
  });
  return y;
}

}  // namespace lorikeet
