#include "ops/head.h"

#include <algorithm>

#include "ops/norm.h"

namespace lorikeet {

namespace {

class Scratch {
 public:
  explicit Scratch(const Stream& s) : arena_(*s.arena), top_(s.arena->top_mark()) {}
  ~Scratch() { arena_.rewind_top(top_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  TensorView get(Shape shape, DType dtype, const char* name) { return arena_.top(shape, dtype, name); }

 private:
  Arena& arena_;
  size_t top_;
};

DType logits_dtype(DType compute) { return stat_dtype(compute); }

/// The logit gradients of each row, over the front of the row's own logits.
TensorView over_logits(TensorView logits, DType compute) {
  TensorView d = logits;
  d.dtype = compute;
  d.stride = logits.stride * static_cast<int64_t>(size_of(logits.dtype) / size_of(compute));
  return d;
}

}  // namespace

void linear_cross_entropy(const Stream& stream, const HeadSlot& head, TensorView x, TensorView dx,
                          const MicroBatch& batch, double grad_scale, const LossTotals& totals) {
  const DType stat = stat_dtype(x.dtype);
  if (dx) dispatch(stream, ZeroArgs{dx});
  const auto targets = static_cast<int64_t>(batch.target_at.size());
  for (int64_t first = 0; first < targets; first += kLossChunk) {
    Scratch scratch(stream);
    const int64_t m = std::min(kLossChunk, targets - first);
    const int32_t* at = batch.target_at.data() + first;
    const TensorView rows = scratch.get({m, x.cols}, x.dtype, "loss.rows");
    const TensorView normed = scratch.get({m, x.cols}, x.dtype, "loss.normed");
    const TensorView stats = scratch.get({m, norm_stats(head.norm)}, stat, "loss.norm");
    const TensorView logits = scratch.get({m, head.w.rows}, logits_dtype(x.dtype), "loss.logits");
    const TensorView row_loss = scratch.get({m, 1}, totals.loss_sum.dtype, "loss.row_loss");
    dispatch(stream, GatherRowsArgs{rows, x, at});
    norm_rows(stream, head.norm, normed, stats, rows);
    dispatch(stream, LinearArgs{logits, normed, &head.w, head.bias, {}, {}, {}});
    const TensorView dlogits = dx ? over_logits(logits, x.dtype) : TensorView{};
    dispatch(stream,
             CrossEntropyArgs{dlogits, row_loss, totals.loss_sum, logits, batch.target_id.data() + first,
                              totals.correct, grad_scale, head.logit_scale, head.softcap});
    if (totals.token_losses && !stream.dry() && row_loss.dtype == DType::f64)
      std::copy_n(row_loss.as<double>(), m, totals.token_losses + first);
    if (!dx) continue;
    if (head.dw) dispatch(stream, TokenSumArgs{head.dw, dlogits, normed, 1});
    if (head.dbias) dispatch(stream, ColumnSumArgs{head.dbias, dlogits, {}, {}});
    const TensorView dnormed = normed;  // the product reads only dlogits and the weight
    dispatch(stream, LinearDxArgs{dnormed, false, 1, {dlogits}, {&head.w}, {}, {}});
    norm_rows_backward(stream, head.norm, dnormed, dnormed, rows, stats, false);
    dispatch(stream, ScatterRowsArgs{dx, dnormed, at});
  }
}

void head_logits(const Stream& stream, const HeadSlot& head, TensorView x, std::span<const int32_t> at,
                 TensorView out) {
  const auto total = static_cast<int64_t>(at.size());
  for (int64_t first = 0; first < total; first += kLossChunk) {
    Scratch scratch(stream);
    const int64_t m = std::min(kLossChunk, total - first);
    const TensorView rows = scratch.get({m, x.cols}, x.dtype, "head.rows");
    const TensorView normed = scratch.get({m, x.cols}, x.dtype, "head.normed");
    dispatch(stream, GatherRowsArgs{rows, x, at.data() + first});
    norm_rows(stream, head.norm, normed, {}, rows);
    const TensorView logits = out.row_range(first, m);
    dispatch(stream, LinearArgs{logits, normed, &head.w, head.bias, {}, {}, {}});
    if (head.logit_scale != 1 || head.softcap > 0)
      dispatch(stream, LogitCapArgs{logits, logits, head.logit_scale, head.softcap});
  }
}

}  // namespace lorikeet
