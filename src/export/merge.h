#pragma once
// Folding adapters into the weights, and converting a model to a Hugging Face folder: the same thing with no
// adapter.
#include <optional>
#include <string>
#include <vector>

#include "export/adapter_sum.h"
#include "export/logit_check.h"
#include "io/atomic_folder.h"

namespace lorikeet {

struct MergeRequest {
  std::vector<AdapterWeight> adapters;  ///< none: conversion
  Combination combination = Combination::cat;
  /// The base that the adapters are added to. Trained: the weights as the training run held them, by its
  /// base_format, quantization and compute type. Original: original_base(files).
  LoadOptions base;
  std::optional<DType> dtype;  ///< of the written weights; default: the file's own (bf16 for quantized files)
  std::string output;
  AtomicFolder::IfExists if_exists = AtomicFolder::IfExists::refuse;
};

struct MergeReport {
  DType dtype = DType::bf16;
  uint64_t bytes = 0;  ///< of the written weights
  size_t merged_modules = 0;
  LogitDifference difference;  ///< of base + adapters and the written folder, both computed in f32
  double bound = 0;            ///< largest allowed difference.relative
};

/// Options that give the file's own weights in f32, blocks decoded where they lie.
LoadOptions original_base(const ModelFiles& files);

/// Writes W' = W + s B A, summed in f32 and rounded once, then loads what was written and compares its logits
/// with those of base + adapters. The output appears only if they agree.
///
/// Throws what loading throws; Error(unsupported) for values the type cannot hold; Error(internal) if a
/// written weight is not the rounded sum, or the logits differ by more than rounding can explain.
MergeReport merge(const ModelFiles& files, const MergeRequest& request, ThreadPool& threads);

/// The largest relative difference of logits that rounding every weight to `dtype` once can make in a model
/// of this depth.
///
/// Rounding moves each weight independently, by about u of itself (2^-9 for bfloat16, 2^-12 for float16,
/// 2^-25 for float32: half the largest error). A product's relative error is then about u too, and the errors
/// of the 7 products per layer add like independent noise: u * sqrt(7 layers). The factor 4 allows for growth
/// through norms and softmax. The smallest u is 2^-20, the noise of f32 sums over thousands of terms, which W
/// x + s B (A x) and (W + s B A) x take in different order.
double merge_bound(DType dtype, int64_t layers);

}  // namespace lorikeet
