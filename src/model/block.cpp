#include "model/block.h"

#include "ops/activation.h"
#include "ops/add.h"
#include "ops/experts.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace lorikeet {

namespace {

Var norm_if_any(Tape& t, Var x, const NormSlot& n) { return n ? norm(t, x, n) : x; }

/// The end of a half: out = residual + scale * norm(linear(x)); the norm and the scale only where the family
/// has them, since the plain sum costs nothing inside the product.
Var add_to(Tape& t, const ModelSpec& s, Var residual, const LinearGroup& linear, const NormSlot& out_norm,
           Var x, const Sequence& seq, TensorView out) {
  if (!out_norm && s.residual_scale == 1) return linear_add(t, linear, x, residual, out, seq);
  const Var y = norm_if_any(t, linear_group(t, linear, x, seq)[0], out_norm);
  return add(t, residual, y, s.residual_scale, out);
}

struct Heads3 {
  Var q, k, v;
};

/// Query, key and value of each token, normed and turned.
Heads3 heads_of(Tape& t, const ModelSpec& s, const BlockSlots& w, Var h, const Sequence& seq) {
  const AttentionSpec& a = w.attention;
  const auto y = linear_group(t, w.qkv, h, seq);
  if (s.qkv != QkvLayout::separate) {  // no family norms the heads of a fused projection
    const Var x = y[0];
    return {rope(t, a, x, a.heads.q, w.q_heads, seq), rope(t, a, x, a.heads.kv, w.k_heads, seq),
            take_heads(t, a, x, a.heads.kv, w.v_heads)};
  }
  Var q = norm_if_any(t, y[0], w.q_norm), k = norm_if_any(t, y[1], w.k_norm);
  if (a.rotary_dim > 0) {
    q = rope(t, a, q, a.heads.q, {}, seq);
    k = rope(t, a, k, a.heads.kv, {}, seq);
  }
  return {q, k, y[2]};
}

Var attention_half(Tape& t, const ModelSpec& s, const BlockSlots& w, Var h, Var residual, const Sequence& seq,
                   size_t layer, TensorView out) {
  const Heads3 x = heads_of(t, s, w, h, seq);
  const Var o = attention(t, w.attention, x.q, x.k, x.v, seq, layer);
  return add_to(t, s, residual, w.o, w.attention_out_norm, o, seq, out);
}

Var mlp_half(Tape& t, const ModelSpec& s, const BlockSlots& w, Var h, Var residual, const Sequence& seq,
             TensorView out) {
  if (w.experts) {
    const Routing routing = route(t, w.experts, h);
    const auto y = expert_gate_up(t, w.experts, routing, h);
    return expert_down_add(t, w.experts, routing, gated_activation(t, y[0], y[1], s.activation), residual,
                           out);
  }
  const auto y = linear_group(t, w.gate_up, h, seq);
  const Var inner = s.mlp == MlpKind::gated           ? gated_activation(t, y[0], y[1], s.activation)
                    : s.mlp == MlpKind::gated_stacked ? gated_activation(t, y[0], s.activation)
                                                      : activation(t, y[0], s.activation);
  return add_to(t, s, residual, w.down, w.mlp_out_norm, inner, seq, out);
}

}  // namespace

Var decoder_block(Tape& t, const ModelSpec& spec, const BlockSlots& w, Var x, const Sequence& seq,
                  size_t layer, TensorView out) {
  const TensorView mid = t.keep(t.shape(x), "block.mid");  // outside the halves: it outlives the first
  if (spec.residual == Residual::parallel) {
    // Both norms first: backward then adds their gradients to that of x after everybody has read it.
    const Tape::HalfBlock scope(t);
    const Var h = norm_if_any(t, x, w.input_norm), m = w.mlp_norm ? norm(t, x, w.mlp_norm) : h;
    return mlp_half(t, spec, w, m, attention_half(t, spec, w, h, x, seq, layer, mid), seq, out);
  }
  Var y;
  {
    const Tape::HalfBlock scope(t);
    y = attention_half(t, spec, w, norm_if_any(t, x, w.input_norm), x, seq, layer, mid);
  }
  const Tape::HalfBlock scope(t);
  return mlp_half(t, spec, w, norm_if_any(t, y, w.mlp_norm), y, seq, out);
}

}  // namespace lorikeet
