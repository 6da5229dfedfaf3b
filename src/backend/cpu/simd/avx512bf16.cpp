// AVX-512 with dot products of bf16 pairs. Its f32 products are those of avx512.cpp.
#include "backend/cpu/simd/attention.h"
#include "backend/cpu/simd/avx512_decode.h"
#include "backend/cpu/simd/avx512_lone.h"

namespace lorikeet::simd {

const Table& avx512bf16_table() {
  static const PanelOps bf16 = {
      2,
      multiply<DotBf16>,
      pack_columns<2>,
      pack_rows<2>,
      convert<Element::bf16>,
      {nullptr, decode_bnb4, decode_blocks<Q4_0, 2, convert<Element::bf16>>,
       decode_blocks<Q4_1, 2, convert<Element::bf16>>, decode_blocks<Q5_0, 2, convert<Element::bf16>>,
       decode_blocks<Q5_1, 2, convert<Element::bf16>>, decode_blocks<Q8_0, 2, convert<Element::bf16>>,
       decode_blocks<Q4_K, 2, convert<Element::bf16>>, decode_blocks<Q5_K, 2, convert<Element::bf16>>,
       decode_blocks<Q6_K, 2, convert<Element::bf16>>},
      decode_grouped<2, convert<Element::bf16>>,
      {{},
       code_ops<Bnb4Codes>(),
       code_ops<Q4_0Codes>(),
       code_ops<Q4_1Codes>(),
       code_ops<Q5_0Codes>(),
       code_ops<Q5_1Codes>(),
       code_ops<Q8_0Codes>(),
       code_ops<Q4_KCodes>(),
       code_ops<Q5_KCodes>(),
       code_ops<Q6_KCodes>()},
      few_dense<DotBf16, 2>,
      attention_ops<PairPanel>(),
  };
  static const Table table = {&bf16, avx512_table().f32, vector_ops(finish, transpose)};
  return table;
}

}  // namespace lorikeet::simd
