#include "ops/experts.h"

namespace lorikeet {

namespace {

/// f(expert, its rows of `first` and of `second`) for every expert that has any. A plan knows no routing:
/// there every expert gets as many rows as it could, one of each token. `tokens` is that number.
template <class F>
void for_each_expert(Tape& t, const ExpertsSlot& s, const ExpertRows& rows, int64_t tokens, const F& f) {
  for (size_t e = 0; e < s.experts.size(); ++e) {
    if (t.stream().dry())
      f(s.experts[e], int64_t{0}, tokens);
    else if (rows.first[e + 1] > rows.first[e])
      f(s.experts[e], int64_t{rows.first[e]}, int64_t{rows.first[e + 1] - rows.first[e]});
  }
}

/// y = x W^T for the rows of one expert.
void product(Tape& t, const Weight& w, TensorView y, TensorView x, int64_t first, int64_t n, int64_t tokens) {
  t.run(LinearArgs{y.row_range(first, n), x.row_range(first, n), &w, {}, {}, {}, {}, tokens});
}

int32_t* keep_numbers(Tape& t, int64_t count, const char* name) {
  static_assert(sizeof(int32_t) == sizeof(float));
  return static_cast<int32_t*>(t.keep({1, count}, DType::f32, name).data);
}

}  // namespace

Routing route(Tape& t, const ExpertsSlot& s, Var x) {
  const TensorView xv = t.value(x);
  const int64_t tokens = xv.rows, experts = s.router.rows, m = tokens * s.top_k;
  Routing r;
  r.probability = t.keep({tokens, experts}, t.stat(), "route.probability");
  const TensorView weight = t.keep({m, 1}, t.stat(), "route.weight");
  r.rows = {s.top_k, keep_numbers(t, m, "route.expert"), keep_numbers(t, m, "route.row"),
            keep_numbers(t, m, "route.token"), keep_numbers(t, experts + 1, "route.first")};
  t.run(LinearArgs{r.probability, xv, &s.router, {}, {}, {}, {}});
  t.run(RouteArgs{weight, r.probability, r.probability, r.rows, s.normalize});
  r.weight = t.stored(weight, t.needs_grad(x));
  t.on_backward(r.weight, [=, slot = &s](Tape& tape) {
    const Tape::Slot dx = tape.grad_slot(x);
    const TensorView dweight = tape.grad(r.weight);
    Tape::OpScratch scratch(tape);
    const TensorView dlogits = scratch.get(r.probability.shape(), tape.dtype(), "route.dlogits");
    tape.run(RouteBwdArgs{dlogits, dweight, weight, r.probability, r.rows, slot->normalize});
    tape.run(LinearDxArgs{dx.view, dx.accumulate, 1, {dlogits}, {&slot->router}, {}, {}});
  });
  return r;
}

std::array<Var, 2> expert_gate_up(Tape& t, const ExpertsSlot& s, const Routing& r, Var x) {
  const TensorView xv = t.value(x);
  const Shape shape{xv.rows * s.top_k, s.experts.front().gate.rows};
  const TensorView gate = t.keep(shape, "experts.gate"), up = t.keep(shape, "experts.up");
  {
    Tape::OpScratch scratch(t);
    const TensorView rows = scratch.get({shape.rows, xv.cols}, xv.dtype, "experts.x");
    t.run(GatherRowsArgs{rows, xv, r.rows.token});
    for_each_expert(t, s, r.rows, xv.rows, [&](const ExpertSlot& e, int64_t first, int64_t n) {
      product(t, e.gate, gate, rows, first, n, xv.rows);
      product(t, e.up, up, rows, first, n, xv.rows);
    });
  }
  const std::array<Var, 2> y{t.stored(gate, t.needs_grad(x)), t.stored(up, t.needs_grad(x))};
  t.on_backward(y[0], [=, slot = &s](Tape& tape) {
    const TensorView dgate = tape.grad(y[0]), dup = tape.grad(y[1]);
    const Tape::Slot dx = tape.grad_slot(x);
    Tape::OpScratch scratch(tape);
    const TensorView rows = scratch.get({dgate.rows, dx.view.cols}, dx.view.dtype, "experts.dx");
    const int64_t tokens = dx.view.rows;
    for_each_expert(tape, *slot, r.rows, tokens, [&](const ExpertSlot& e, int64_t first, int64_t n) {
      tape.run(LinearDxArgs{rows.row_range(first, n),
                            false,
                            2,
                            {dgate.row_range(first, n), dup.row_range(first, n)},
                            {&e.gate, &e.up},
                            {},
                            {},
                            tokens});
    });
    tape.run(CombineRowsArgs{dx.view, dx.accumulate ? dx.view : TensorView{}, rows, {}, r.rows});
  });
  return y;
}

Var expert_down_add(Tape& t, const ExpertsSlot& s, const Routing& r, Var h, Var residual, TensorView out) {
  const Shape shape = t.shape(residual);
  if (out) {
    const TensorView hv = t.value(h), into = t.value(residual), weight = t.value(r.weight);
    Tape::OpScratch scratch(t);
    const TensorView rows = scratch.get({hv.rows, shape.cols}, hv.dtype, "experts.y");
    for_each_expert(t, s, r.rows, shape.rows, [&](const ExpertSlot& e, int64_t first, int64_t n) {
      product(t, e.down, rows, hv, first, n, shape.rows);
    });
    t.run(CombineRowsArgs{out, into, rows, weight, r.rows});
  }
  const Var y =
      t.stored(out ? out : TensorView(nullptr, shape, t.dtype()), t.needs_grad(h) || t.needs_grad(residual));
  t.on_backward(y, [=, slot = &s](Tape& tape) {
    const TensorView dy = tape.grad(y);
    if (tape.needs_grad(h)) {
      const TensorView hv = tape.value(h), weight = tape.value(r.weight), dh = tape.grad_slot(h).view;
      const TensorView dweight = tape.arena().top(weight.shape(), tape.stat(), "route.dweight");
      tape.give_grad(r.weight, dweight, true);
      Tape::OpScratch scratch(tape);
      const TensorView rows = scratch.get({hv.rows, dy.cols}, dy.dtype, "experts.dy");
      tape.run(GatherRowsArgs{rows, dy, r.rows.token});
      for_each_expert(tape, *slot, r.rows, dy.rows, [&](const ExpertSlot& e, int64_t first, int64_t n) {
        tape.run(LinearDxArgs{
            dh.row_range(first, n), false, 1, {rows.row_range(first, n)}, {&e.down}, {}, {}, dy.rows});
      });
      tape.run(RowWeightBwdArgs{dh, dweight, dh, hv, weight});
    }
    tape.pass_grad(y, residual);
  });
  return y;
}

}  // namespace lorikeet
