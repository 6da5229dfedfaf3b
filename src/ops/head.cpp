#include "ops/head.h"

#include <algorithm>

#include "ops/linear_rows.h"
#include "ops/norm.h"
#include "ops/scratch.h"

namespace lorikeet {

namespace {

DType logits_dtype(DType compute) { return stat_dtype(compute); }

/// The logit gradients of each row, over the front of the row's own logits.
TensorView over_logits(TensorView logits, DType compute) {
  TensorView d = logits;
  d.dtype = compute;
  d.stride = logits.stride * static_cast<int64_t>(size_of(logits.dtype) / size_of(compute));
  return d;
}

/// The tokens `at` of a batch, ascending, as a batch of their own: as much of it as random draws read.
MicroBatch labelled_tokens(const Stream& stream, const MicroBatch& batch, std::span<const int32_t> at,
                           Scratch& scratch) {
  auto* positions = static_cast<int32_t*>(scratch.bytes(at.size_bytes(), "loss.positions"));
  auto* rows = static_cast<RowSpan*>(scratch.bytes(batch.rows.size_bytes(), "loss.row_spans"));
  MicroBatch labelled;
  labelled.positions = {positions, at.size()};
  labelled.rows = {rows, batch.rows.size()};
  labelled.row_ids = batch.row_ids;
  if (stream.dry()) return labelled;
  std::transform(at.begin(), at.end(), positions,
                 [&](int32_t n) { return batch.positions[static_cast<size_t>(n)]; });
  auto begin = at.begin();
  for (const RowSpan& row : batch.rows) {
    const auto end = std::lower_bound(begin, at.end(), row.q_begin + row.q_count);
    *rows = row;
    rows->q_begin = static_cast<int32_t>(begin - at.begin());
    rows->q_count = static_cast<int32_t>(end - begin);
    ++rows;
    begin = end;
  }
  return labelled;
}

/// Logits of normed rows, and A x of the head's adapter (empty without one).
TensorView logits_of(const Stream& stream, const HeadSlot& head, TensorView logits, TensorView normed,
                     const RowDraws& draws, Scratch& scratch) {
  TensorView low;
  if (head.linear.lora_a) {
    low = scratch.get({normed.rows, head.linear.lora_a.rows}, normed.dtype, "head.low");
    low_rank_forward(stream, head.linear, low, normed, draws);
  }
  slot_forward(stream, head.out(), logits, normed, low, {});
  return low;
}

}  // namespace

void linear_cross_entropy(const Stream& stream, const HeadSlot& head, TensorView x, TensorView dx,
                          const MicroBatch& batch, const DropoutKey& dropout, double grad_scale,
                          const LossTotals& totals) {
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
    const TensorView logits = scratch.get({m, head.vocab_size()}, logits_dtype(x.dtype), "loss.logits");
    const TensorView row_loss = scratch.get({m, 1}, totals.loss_sum.dtype, "loss.row_loss");
    dispatch(stream, GatherRowsArgs{rows, x, at});
    norm_rows(stream, head.norm, normed, stats, rows);
    MicroBatch chunk = batch;
    const RowDraws draws{&chunk, dropout};
    if (drops(head.linear, draws))
      chunk = labelled_tokens(stream, batch, {at, static_cast<size_t>(m)}, scratch);
    const TensorView low = logits_of(stream, head, logits, normed, draws, scratch);
    const TensorView dlogits = dx ? over_logits(logits, x.dtype) : TensorView{};
    dispatch(stream,
             CrossEntropyArgs{dlogits, row_loss, totals.loss_sum, logits, batch.target_id.data() + first,
                              totals.correct, grad_scale, head.logit_scale, head.softcap});
    if (totals.token_losses && !stream.dry() && row_loss.dtype == DType::f64)
      std::copy_n(row_loss.as<double>(), m, totals.token_losses + first);
    if (!dx) continue;
    // Over its input, which only an adapter with dropout reads again.
    const TensorView dnormed =
        head.linear.lora_a ? scratch.get({m, x.cols}, x.dtype, "loss.dnormed") : normed;
    group_backward(stream, head.linear, normed, {low, {}}, {{dlogits}, true, dnormed, false}, draws);
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
    logits_of(stream, head, logits, normed, {}, scratch);
    if (head.logit_scale != 1 || head.softcap > 0)
      dispatch(stream, LogitCapArgs{logits, logits, head.logit_scale, head.softcap});
  }
}

}  // namespace lorikeet
