#pragma once
#include "backend/args.h"
#include "backend/cpu/rows.h"

namespace lorikeet::cpu {

/// Declares the three functions that simd_row() wants.
#define LORIKEET_CPU_OP(Name, Args)                                                  \
  struct Name {                                                                      \
    static const char* reject(const Args& a);                                        \
    static size_t workspace_bytes(const simd::Table& t, const Args& a, int threads); \
    static void run(const simd::Table& t, const Args& a, const KernelContext& c);    \
  }

LORIKEET_CPU_OP(RmsNormOp, RmsNormArgs);
LORIKEET_CPU_OP(RmsNormBwdOp, RmsNormBwdArgs);
LORIKEET_CPU_OP(LayerNormOp, LayerNormArgs);
LORIKEET_CPU_OP(LayerNormBwdOp, LayerNormBwdArgs);
LORIKEET_CPU_OP(AddOp, AddArgs);
LORIKEET_CPU_OP(LogitCapOp, LogitCapArgs);
LORIKEET_CPU_OP(RopeOp, RopeArgs);
LORIKEET_CPU_OP(GatedActivationOp, GatedActivationArgs);
LORIKEET_CPU_OP(GatedActivationBwdOp, GatedActivationBwdArgs);
LORIKEET_CPU_OP(CombineRowsOp, CombineRowsArgs);
LORIKEET_CPU_OP(RowWeightBwdOp, RowWeightBwdArgs);
LORIKEET_CPU_OP(CrossEntropyOp, CrossEntropyArgs);
LORIKEET_CPU_OP(EmbeddingOp, EmbeddingArgs);
LORIKEET_CPU_OP(EmbeddingBwdOp, EmbeddingBwdArgs);
LORIKEET_CPU_OP(ColumnSumOp, ColumnSumArgs);
LORIKEET_CPU_OP(ScaleColumnsOp, ScaleColumnsArgs);
LORIKEET_CPU_OP(DoraScaleOp, DoraScaleArgs);
LORIKEET_CPU_OP(CastOp, CastArgs);
LORIKEET_CPU_OP(DropoutOp, DropoutArgs);
LORIKEET_CPU_OP(NoiseOp, NoiseArgs);
LORIKEET_CPU_OP(SquareSumOp, SquareSumArgs);
LORIKEET_CPU_OP(AdamWOp, AdamWArgs);
LORIKEET_CPU_OP(AdamW8bitOp, AdamW8bitArgs);
LORIKEET_CPU_OP(SgdOp, SgdArgs);

#undef LORIKEET_CPU_OP

/// The same updates in plain C++, equal bit for bit.
Kernel<AdamWArgs> portable_adamw();
Kernel<AdamW8bitArgs> portable_adamw_8bit();
Kernel<SgdArgs> portable_sgd();

}  // namespace lorikeet::cpu
