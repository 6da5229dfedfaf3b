#include "ops/dora.h"

namespace lorikeet {

TensorView dora_forward(Tape& t, const LinearSlot& s, TensorView x, TensorView low, TensorView residual,
                        TensorView out, const DropoutArgs* dropout) {
  const TensorView z = t.keep({x.rows, s.w.rows}, "dora.z");
  LinearArgs product{z, x, &s.w, {}, {}, low.columns(s.rank_at, s.rank), s.lora_b};
  if (!dropout) {
    t.run(product);
    if (out) t.run(ScaleColumnsArgs{out, z, s.dora.scale, 0, s.bias, residual});
    return z;
  }
  Tape::OpScratch scratch(t);
  const TensorView part = scratch.get(x.shape(), x.dtype, "dora.x");
  DropoutArgs drop = *dropout;
  drop.x = x;
  drop.y = part;
  t.run(drop);
  product.x = part;
  t.run(product);
  if (!out) return z;
  t.run(CastArgs{part, x});
  drop.accumulate = true;
  drop.scale = -1;
  t.run(drop);  // x - dropout(x)
  t.run(LinearArgs{out, part, &s.w, s.bias, residual, {}, {}});
  t.run(ScaleColumnsArgs{out, z, s.dora.scale, 0, {}, out});
  return z;
}

void dora_backward(const Stream& stream, const LinearSlot& s, TensorView dz, TensorView dy, TensorView z) {
  dispatch(stream, ColumnSumArgs{s.dora.dmagnitude, dy, z, s.dora.inverse_norm});
  dispatch(stream, ScaleColumnsArgs{dz, dy, s.dora.scale, 0, {}, {}});
}

}  // namespace lorikeet
