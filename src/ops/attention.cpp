#include "ops/attention.h"

namespace lorikeet {

Var rope(Tape& t, const AttentionSpec& spec, Var x, const Sequence& seq) {
  const RopeArgs turn{{},
                      {},
                      seq.cos,
                      seq.sin,
                      seq.batch->positions.data(),
                      spec.heads.dim,
                      spec.rotary_dim,
                      +1,
                      spec.interleaved};
  const Var y = t.rebuilt(t.shape(x), "rope.y", t.needs_grad(x), [=](Tape& tape, TensorView out) {
    RopeArgs a = turn;
    a.y = out;
    a.x = tape.value(x);
    tape.run(a);
  });
  t.on_backward(y, [=](Tape& tape) {
    RopeArgs a = turn;
    a.y = a.x = tape.pass_grad(y, x);
    a.sign = -1;
    tape.run(a);
  });
  return y;
}

Var attention(Tape& t, const AttentionSpec& spec, Var q, Var k, Var v, const Sequence& seq, size_t layer) {
  const std::span<const RowSpan> rows = seq.batch->rows;
  const TensorView qv = t.value(q);
  TensorView kv = t.value(k), vv = t.value(v);
  const TensorView o = t.keep(qv.shape(), "attention.o");
  const TensorView lse =
      t.recording() ? t.keep({qv.rows, spec.heads.q}, t.stat(), "attention.lse") : TensorView{};
  if (!seq.cache.empty()) {
    const KvCacheLayer& cache = seq.cache[layer];
    t.run(ScatterRowsArgs{cache.k, kv, seq.cache_at.data()});
    t.run(ScatterRowsArgs{cache.v, vv, seq.cache_at.data()});
    kv = cache.k;
    vv = cache.v;
  }
  t.run(AttentionArgs{o, lse, qv, kv, vv, rows, spec.heads, spec.scale, spec.window, spec.softcap});
  const Var y = t.stored(o, t.needs_grad(q) || t.needs_grad(k) || t.needs_grad(v));
  t.on_backward(y, [=, s = spec](Tape& tape) {
    const TensorView q1 = tape.value(q), k1 = tape.value(k), v1 = tape.value(v), dout = tape.grad(y);
    const TensorView dq = tape.grad_slot(q).view, dk = tape.grad_slot(k).view, dv = tape.grad_slot(v).view;
    Tape::OpScratch scratch(tape);
    const TensorView delta = scratch.get(lse.shape(), tape.stat(), "attention.delta");
    tape.run(AttentionBwdArgs{dq, dk, dv, delta, dout, o, lse, q1, k1, v1, rows, s.heads, s.scale, s.window,
                              s.softcap});
  });
  return y;
}

}  // namespace lorikeet
