#include "ops/attention.h"

#include <utility>

namespace lorikeet {

namespace {

/// `turn` says everything but the views. Parts of a fused projection write their own columns of its gradient,
/// which together cover it.
Var turned(Tape& t, const RopeArgs& turn, Var x, int64_t heads) {
  const Shape in = t.shape(x), shape{in.rows, heads * turn.head_dim};
  const bool whole = in == shape;
  const Var y = t.rebuilt(shape, "rope.y", t.needs_grad(x), [=](Tape& tape, TensorView out) {
    RopeArgs a = turn;
    a.y = out;
    a.x = tape.value(x);
    tape.run(a);
  });
  t.on_backward(y, [=](Tape& tape) {
    RopeArgs a = turn;
    std::swap(a.y_heads, a.x_heads);
    a.x = whole ? tape.pass_grad(y, x) : tape.grad(y);
    a.y = whole ? a.x : tape.grad_slot(x).view;
    a.sign = -1;
    tape.run(a);
  });
  return y;
}

}  // namespace

Var rope(Tape& t, const AttentionSpec& spec, Var x, int32_t heads, HeadLayout layout, const Sequence& seq) {
  const RopeTable& table = seq.rope[spec.rope];
  return turned(t,
                {{},
                 {},
                 table.cos,
                 table.sin,
                 seq.rope_at,
                 spec.heads.dim,
                 spec.rotary_dim,
                 +1,
                 spec.interleaved,
                 {},
                 layout},
                x, heads);
}

Var take_heads(Tape& t, const AttentionSpec& spec, Var x, int32_t heads, HeadLayout layout) {
  return turned(t, {{}, {}, {}, {}, nullptr, spec.heads.dim, 0, +1, false, {}, layout}, x, heads);
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
