#pragma once
// Folding adapters into the weights, and converting a model to a Hugging Face folder or a GGUF file: the same
// thing with no adapter.
#include <optional>
#include <string>
#include <vector>

#include "export/adapter_sum.h"
#include "export/logit_check.h"
#include "io/atomic_folder.h"
#include "quant/encode.h"

namespace lorikeet {

enum class MergeFormat {
  safetensors,  ///< a Hugging Face folder
  gguf,         ///< one file
  gguf_adapter  ///< the combined adapter alone, as llama.cpp's LoRA file
};

struct MergeRequest {
  std::vector<AdapterWeight> adapters;  ///< none: conversion
  Combination combination = Combination::cat;
  /// The base that the adapters are added to. Trained: the weights as the training run held them, by its
  /// base_format, quantization and compute type. Original: original_base(files).
  LoadOptions base;
  /// Of the written weights; default: the file's own (bf16 for quantized files), f32 for an adapter alone.
  std::optional<WeightType> dtype;
  MergeFormat format = MergeFormat::safetensors;
  std::string
      output;  ///< a folder; of the GGUF formats also a name that ends in .gguf, else model.gguf in it
  AtomicFolder::IfExists if_exists = AtomicFolder::IfExists::refuse;
};

struct MergeReport {
  WeightType dtype = DType::bf16;
  uint64_t bytes = 0;  ///< of the written weights
  size_t merged_modules = 0;
  LogitDifference difference;  ///< of base + adapters and what was written, both computed in f32
  double bound = 0;            ///< largest allowed difference.relative; 0 where nothing was compared
};

/// Options that give the file's own weights in f32, blocks decoded where they lie.
LoadOptions original_base(const ModelFiles& files);

/// Writes W' = W + s B A, summed in f32 and rounded once, then loads what was written and compares its
/// weights and its logits with those of base + adapters. The output appears only if they agree. An adapter
/// alone is written as it is.
///
/// Throws what loading and write_gguf_model throw; Error(usage) for a block format without GGUF, an adapter
/// alone without any, or an output that exists; Error(unsupported) for values the type cannot hold;
/// Error(internal) if a
/// written weight is not the rounded sum, or the logits differ by more than rounding can explain.
MergeReport merge(const ModelFiles& files, const MergeRequest& request, ThreadPool& threads);

/// The largest relative difference of logits that rounding every weight to `type` once can make in a model
/// whose logits move by `bf16_noise` when it computes in bfloat16 instead of float32.
///
/// Either rounding moves what a product gives by about u of itself, independently from layer to layer (u:
/// half the largest error, 2^-9 for bfloat16, 2^-12 for float16; of a typical weight 2^-7 for Q8_0 and 2^-3
/// for Q4_0, whose steps are 1/127 and 1/8 of a block's largest). What the logits make of it depends on the
/// weights: where attention is nearly certain, a small error of a score becomes another token. So it is
/// measured, on the same model and inputs, and scaled by u. The factor 4 allows for two samples of noise that
/// are not the same. For float32 u is 2^-20, the noise of f32 sums over thousands of terms, which W x + s B
/// (A x) and (W + s B A) x take in different order.
double merge_bound(WeightType type, double bf16_noise);

}  // namespace lorikeet
