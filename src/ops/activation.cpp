#include "ops/activation.h"

namespace lorikeet {

namespace {

/// The views of gate and up in the values (or gradients) of one or two variables.
enum class Form : uint8_t { two, halves, plain };
struct Parts {
  TensorView gate, up;
};
Parts parts(Form form, TensorView first, TensorView second) {
  if (form == Form::halves)
    return {first.columns(0, first.cols / 2), first.columns(first.cols / 2, first.cols / 2)};
  return {first, second};
}

Var run(Tape& t, Form form, Var first, Var second, Activation activation) {
  const Shape in = t.shape(first), shape{in.rows, form == Form::halves ? in.cols / 2 : in.cols};
  const bool needs_grad = t.needs_grad(first) || (form == Form::two && t.needs_grad(second));
  const Var y = t.rebuilt(shape, "activation.y", needs_grad, [=](Tape& tape, TensorView out) {
    const TensorView a = tape.value(first), b = form == Form::two ? tape.value(second) : TensorView{};
    const Parts p = parts(form, a, b);
    tape.run(GatedActivationArgs{out, p.gate, p.up, activation});
  });
  t.on_backward(y, [=](Tape& tape) {
    const TensorView a = tape.value(first), b = form == Form::two ? tape.value(second) : TensorView{};
    const TensorView da = tape.grad_over_value(first),
                     db = form == Form::two ? tape.grad_over_value(second) : TensorView{};
    const Parts x = parts(form, a, b), d = parts(form, da, db);
    tape.run(GatedActivationBwdArgs{d.gate, d.up, tape.grad(y), x.gate, x.up, activation});
  });
  return y;
}

}  // namespace

Var gated_activation(Tape& t, Var gate, Var up, Activation a) { return run(t, Form::two, gate, up, a); }
Var gated_activation(Tape& t, Var gate_up, Activation a) { return run(t, Form::halves, gate_up, {}, a); }
Var activation(Tape& t, Var x, Activation a) { return run(t, Form::plain, x, {}, a); }

}  // namespace lorikeet
