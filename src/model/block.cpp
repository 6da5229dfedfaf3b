#include "model/block.h"

#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace lorikeet {

namespace {

Var norm(Tape& t, const ModelSpec& s, Var x, const NormSlot& w) {
  return rms_norm(t, x, w, s.rms_norm_eps, s.norm_weight_offset);
}

Var attention_half(Tape& t, const ModelSpec& s, const BlockSlots& w, Var x, const Sequence& seq, size_t layer,
                   TensorView out) {
  const Tape::HalfBlock scope(t);
  const Var h = norm(t, s, x, w.input_norm);
  auto [q, k, v] = linear_group(t, w.qkv, h, seq);
  if (s.qk_norm == QkNorm::per_head) {
    q = norm(t, s, q, w.q_norm);
    k = norm(t, s, k, w.k_norm);
  }
  q = rope(t, w.attention, q, seq);
  k = rope(t, w.attention, k, seq);
  const Var o = attention(t, w.attention, q, k, v, seq, layer);
  return linear_add(t, w.o, o, x, out, seq);
}

Var mlp_half(Tape& t, const ModelSpec& s, const BlockSlots& w, Var x, const Sequence& seq, TensorView out) {
  const Tape::HalfBlock scope(t);
  const Var h = norm(t, s, x, w.post_attention_norm);
  const auto gate_up = linear_group(t, w.gate_up, h, seq);
  return linear_add(t, w.down, gated_activation(t, gate_up[0], gate_up[1], s.activation), x, out, seq);
}

}  // namespace

Var decoder_block(Tape& t, const ModelSpec& spec, const BlockSlots& w, Var x, const Sequence& seq,
                  size_t layer, TensorView out) {
  const TensorView mid = t.keep(t.shape(x), "block.mid");  // outside the halves: it outlives the first
  return mlp_half(t, spec, w, attention_half(t, spec, w, x, seq, layer, mid), seq, out);
}

}  // namespace lorikeet
