// AVX2 with FMA: f32 products; bf16 activations are widened by the driver.
#include "backend/cpu/simd/attention.h"
#include "backend/cpu/simd/avx2_panel.h"

namespace lorikeet::simd {

const Table& avx2_table() {
  static const PanelOps f32 = {
      1,
      multiply,
      pack_columns,
      pack_rows,
      convert,
      {nullptr, decode_bnb4, decode_blocks<Q4_0, 1, convert>, decode_blocks<Q4_1, 1, convert>,
       decode_blocks<Q5_0, 1, convert>, decode_blocks<Q5_1, 1, convert>, decode_blocks<Q8_0, 1, convert>,
       decode_blocks<Q4_K, 1, convert>, decode_blocks<Q5_K, 1, convert>, decode_blocks<Q6_K, 1, convert>},
      decode_grouped<1, convert>,
      {},
      nullptr,
      attention_ops<FloatPanel>(),
  };
  static const Table table = {nullptr, &f32, vector_ops(finish, transpose)};
  return table;
}

}  // namespace lorikeet::simd
