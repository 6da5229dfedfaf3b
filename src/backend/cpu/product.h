#pragma once
// One driver for every product with a frozen or trained matrix on the right: panels of 64 columns are packed
// (decoded tile by tile where the storage is quantized), stay in the L2 cache, and all rows of the left side
// stream past.
#include "backend/backend.h"
#include "backend/cpu/right_side.h"

namespace lorikeet::cpu {

/// out = add + bias + sum over terms of a_i b_i, one sum in f32, rounded once. Terms with no rows are left
/// out.
struct Product {
  static constexpr int kMaxTerms = 4;
  struct Term {
    TensorView a;  ///< [rows, sums], elements of the compute type
    RightSide b;   ///< sums -> cols
  };
  TensorView out;            ///< [rows, cols] f32 or bf16
  TensorView add;            ///< optional, same shape; may be out
  TensorView bias;           ///< optional [1, cols], f32, bf16 or f16
  bool lone = false;         ///< see LinearArgs
  int64_t planned_rows = 0;  ///< the workspace is laid out for that many, if out has fewer
  const simd::Table* table = nullptr;
  const simd::PanelOps* ops = nullptr;
  int count = 0;
  Term terms[kMaxTerms];

  void add_term(TensorView a, const RightSide& b) { terms[count++] = {a, b}; }
};

/// The micro-kernels for a compute type: bf16 pairs where the table has them, else f32.
const simd::PanelOps& panel_ops(const simd::Table& table, DType compute);

size_t product_workspace_bytes(const Product& p, int threads);
void run_product(const Product& p, const KernelContext& context);

/// Pieces of rows and columns handed out as work items so that all threads end together: `splits` of the
/// rows.
int64_t row_splits(int64_t rows, int64_t panels, int threads);

}  // namespace lorikeet::cpu
