#pragma once
// Quantizing a model to a bitsandbytes 4-bit checkpoint, and measuring what that costs.
#include <optional>
#include <string>
#include <vector>

#include "io/atomic_folder.h"
#include "model/files.h"
#include "quant/bnb4_matrix.h"
#include "quant/quantization_error.h"

namespace lorikeet {

/// One matrix of the blocks and what quantizing it costs.
struct LayerError {
  std::string name;  ///< Hugging Face name with ".weight"
  int64_t rows = 0, cols = 0;
  double bits_per_weight = 0;  ///< scales and tables included
  QuantizationError error;
  std::optional<OutputError> output;  ///< of calibrated matrices
};

struct QuantizeReport {
  uint64_t bytes = 0;         ///< of the written weights
  DType dtype = DType::bf16;  ///< of what stays dense
  std::vector<LayerError> layers;
};

/// The type that source values are rounded to before they are quantized: a block-quantized file stands for a
/// model of that type, as transformers would load it.
DType source_rounding(const ModelFiles& files);

/// Throws Error(usage) if the model already is a quantized checkpoint, Error(unsupported) for an architecture
/// that transformers does not pack.
void expect_quantizable(const ModelFiles& files);

/// Writes `files` as a Hugging Face folder whose linear layers are quantized in bitsandbytes' layout, which
/// transformers loads with bitsandbytes; embedding, head, norms and biases stay dense. One matrix is in
/// memory at a time. The bytes equal those that the loader makes with base_format bnb_4bit, except for the
/// matrices in `calibrated`, which are written as they are there.
///
/// Throws as expect_quantizable, Error(format) naming an element that is NaN or infinite, Error(resource) if
/// the disk is full.
QuantizeReport quantize_model(const ModelFiles& files, const Bnb4Options& options, const std::string& output,
                              AtomicFolder::IfExists if_exists, ThreadPool& threads,
                              const CalibratedWeights& calibrated = {});

/// What quantizing each linear layer of a dense model by `options` would cost; nothing is written.
std::vector<LayerError> errors_if_quantized(const ModelFiles& files, const Bnb4Options& options,
                                            ThreadPool& threads);

/// How far the linear layers of a quantized model are from `original`'s. Throws Error(usage) if the two are
/// not the same architecture in the same sizes.
std::vector<LayerError> errors_against(const ModelFiles& quantized, const ModelFiles& original,
                                       ThreadPool& threads);

/// The calibrated layers' errors in their outputs, as a root of sums, over what nearest codes would give;
/// nothing if no layer is calibrated.
std::optional<double> output_error_ratio(const std::vector<LayerError>& layers);

/// sqrt of the layers' summed squared errors over their summed squares.
double pooled_relative_rms(const std::vector<LayerError>& layers);

}  // namespace lorikeet
