// AVX-512 without bf16 arithmetic: f32 products.
#include "backend/cpu/simd/attention.h"
#include "backend/cpu/simd/avx512_decode.h"

namespace lorikeet::simd {

const Table& avx512_table() {
  static const PanelOps f32 = {
      1,
      multiply<DotF32>,
      pack_columns<1>,
      pack_rows<1>,
      convert<Element::f32>,
      {nullptr, decode_bnb4, decode_blocks<Q4_0, 1, convert<Element::bf16>>,
       decode_blocks<Q4_1, 1, convert<Element::bf16>>, decode_blocks<Q5_0, 1, convert<Element::bf16>>,
       decode_blocks<Q5_1, 1, convert<Element::bf16>>, decode_blocks<Q8_0, 1, convert<Element::bf16>>,
       decode_blocks<Q4_K, 1, convert<Element::bf16>>, decode_blocks<Q5_K, 1, convert<Element::bf16>>,
       decode_blocks<Q6_K, 1, convert<Element::bf16>>},
      decode_grouped<1, convert<Element::f32>>,
      {},
      few_dense<DotF32, 1>,
      attention_ops<FloatPanel>(),
  };
  static const Table table = {nullptr, &f32, vector_ops(finish, transpose)};
  return table;
}

}  // namespace lorikeet::simd
