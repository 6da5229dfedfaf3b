#include "model/row_order.h"

#include "core/error.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

/// Hugging Face keeps, for each key head, its queries, the key and the value; a file has all heads of the
/// queries, then those of the keys, then those of the values.
std::vector<int32_t> fused_rows(int64_t heads, int64_t key_heads, int64_t head_dim) {
  LORIKEET_CHECK(key_heads > 0 && heads % key_heads == 0 && head_dim > 0);
  LORIKEET_CHECK(heads + 2 * key_heads <= INT32_MAX / head_dim);
  std::vector<int32_t> rows;
  rows.reserve(static_cast<size_t>((heads + 2 * key_heads) * head_dim));
  const int64_t queries = heads / key_heads;
  const auto add_head = [&](int64_t stored) {
    for (int64_t i = 0; i < head_dim; ++i) rows.push_back(static_cast<int32_t>(stored * head_dim + i));
  };
  for (int64_t key = 0; key < key_heads; ++key) {
    for (int64_t i = 0; i < queries; ++i) add_head(key * queries + i);
    add_head(heads + key);
    add_head(heads + key_heads + key);
  }
  return rows;
}

}  // namespace

std::vector<int32_t> stored_rows(RowOrder order, const ModelSpec& s) {
  switch (order) {
    case RowOrder::as_is:
      break;
    case RowOrder::rope_q:
      return gguf_rope_row_map(s.num_attention_heads, s.head_dim);
    case RowOrder::rope_k:
      return gguf_rope_row_map(s.num_key_value_heads, s.head_dim);
    case RowOrder::fused:
      return fused_rows(s.num_attention_heads, s.num_key_value_heads, s.head_dim);
  }
  return {};
}

}  // namespace lorikeet
