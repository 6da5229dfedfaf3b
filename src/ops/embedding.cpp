#include "ops/embedding.h"

#include <algorithm>

#include "ops/scratch.h"

namespace lorikeet {

namespace {

/// scale * A^T[ids] [N,R]
TensorView low_of(const Stream& stream, const EmbeddingSlot& s, std::span<const int32_t> ids,
                  Scratch& scratch) {
  const TensorView low =
      scratch.get({static_cast<int64_t>(ids.size()), s.lora_a.cols}, s.lora_a.dtype, "embedding.low");
  const Weight a = Weight::dense(s.lora_a);
  dispatch(stream, EmbeddingArgs{low, &a, ids.data(), s.scale});
  return low;
}

void clear_padding(const Stream& stream, const EmbeddingSlot& s, std::span<const int32_t> ids,
                   TensorView dy) {
  if (s.padding_idx < 0 || stream.dry()) return;
  for (size_t n = 0; n < ids.size(); ++n)
    if (ids[n] == s.padding_idx) dispatch(stream, ZeroArgs{dy.row_range(static_cast<int64_t>(n), 1)});
}

/// Token by token: those that learn are few.
void rows_backward(const Stream& stream, const EmbeddingSlot& s, std::span<const int32_t> ids,
                   TensorView dy) {
  if (stream.dry()) return;
  for (size_t n = 0; n < ids.size(); ++n) {
    const auto at = std::find(s.rows.ids.begin(), s.rows.ids.end(), ids[n]);
    if (at == s.rows.ids.end()) continue;
    const auto row = static_cast<int32_t>(at - s.rows.ids.begin());
    dispatch(stream, EmbeddingBwdArgs{s.rows.grad, dy.row_range(static_cast<int64_t>(n), 1), &row, s.scale});
  }
}

}  // namespace

void embedding_forward(const Stream& stream, const EmbeddingSlot& s, std::span<const int32_t> ids,
                       TensorView y, bool accumulate) {
  dispatch(stream, EmbeddingArgs{y, &s.w, ids.data(), s.scale, accumulate});
  if (!s.lora_b) return;
  Scratch scratch(stream);
  const TensorView low = low_of(stream, s, ids, scratch);
  const Weight b = Weight::dense(s.lora_b);
  dispatch(stream, LinearArgs{y, low, &b, {}, y, {}, {}});
}

void embedding_backward(const Stream& stream, const EmbeddingSlot& s, std::span<const int32_t> ids,
                        TensorView dy) {
  if (!s.learns()) return;
  Scratch scratch(stream);
  TensorView low;
  if (s.lora_b) {
    low = low_of(stream, s, ids, scratch);
    dispatch(stream, TokenSumArgs{s.dlora_b, dy, low, s.lora_scale});
  }
  clear_padding(stream, s, ids, dy);
  if (s.dw) dispatch(stream, EmbeddingBwdArgs{s.dw, dy, ids.data(), s.scale});
  if (s.rows) rows_backward(stream, s, ids, dy);
  if (!s.lora_b) return;
  const Weight b = Weight::dense(s.lora_b);
  const TensorView dlow = low;  // which is read no more
  dispatch(stream, LinearDxArgs{dlow, false, 1, {dy}, {&b}, {}, {}});
  dispatch(stream, EmbeddingBwdArgs{s.dlora_a, dlow, ids.data(), s.scale});
}

}  // namespace lorikeet
