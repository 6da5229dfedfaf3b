#include "model/row_order.h"

#include <gmock/gmock.h>

#include "quant/format.h"

namespace lorikeet::testing {
namespace {

using ::testing::ElementsAre;

ModelSpec heads(int64_t queries, int64_t keys, int64_t head_dim) {
  ModelSpec s;
  s.num_attention_heads = queries;
  s.num_key_value_heads = keys;
  s.head_dim = head_dim;
  return s;
}

TEST(StoredRows, OfAFusedProjectionAreQueriesThenKeysThenValues) {
  // In a checkpoint: queries 0 and 1, key 0, value 0, queries 2 and 3, key 1, value 1; two rows each.
  EXPECT_THAT(stored_rows(RowOrder::fused, heads(4, 2, 2)),
              ElementsAre(0, 1, 2, 3, 8, 9, 12, 13, 4, 5, 6, 7, 10, 11, 14, 15));
}

TEST(StoredRows, OfOneKeyHeadAreTheSameRows) {
  EXPECT_THAT(stored_rows(RowOrder::fused, heads(2, 1, 1)), ElementsAre(0, 1, 2, 3));
}

TEST(StoredRows, OfQueryAndKeyFollowTheirNumberOfHeads) {
  EXPECT_EQ(stored_rows(RowOrder::rope_q, heads(4, 2, 6)), gguf_rope_row_map(4, 6));
  EXPECT_EQ(stored_rows(RowOrder::rope_k, heads(4, 2, 6)), gguf_rope_row_map(2, 6));
  EXPECT_TRUE(stored_rows(RowOrder::as_is, heads(4, 2, 6)).empty());
}

}  // namespace
}  // namespace lorikeet::testing
