#pragma once
// 4-bit weights that suit what a model reads: quantization which keeps the layers' outputs on some rows.
#include <functional>
#include <vector>

#include "core/thread_pool.h"
#include "data/example.h"
#include "model/files.h"
#include "quant/bnb4_matrix.h"

namespace lorikeet {

struct CalibrationOptions {
  Bnb4Options bnb;
  DType compute = DType::f32;                               ///< of the forward pass: f32 or bf16
  std::function<void(int64_t done, int64_t blocks)> after;  ///< called after each block; may be empty
};

/// `count` of the samples (all, if there are fewer), evenly over the data.
std::vector<Sample> spread_samples(const std::vector<Sample>& samples, int64_t count);

/// Quantizes the linear layers block after block, each matrix by the inputs that it gets from the rows when
/// all blocks before its own are quantized already (GPTQ, Frantar and others 2023). All tokens count, targets
/// or not. The linear layers of experts, and matrices that do not take feedback, are left out: their nearest
/// codes are what remains.
///
/// In memory: the dense model (mapped where it can be), the quantized matrices, the hidden states of all
/// tokens, and for one block 4 K^2 bytes for each width K of its inputs and 8 K^2 for one of them. The result
/// does not depend on the number of threads. Throws as expect_quantizable, Error(usage) if no matrix takes
/// feedback, what the rounding throws, and Error(format) if the model's activations are not finite on the
/// rows.
CalibratedWeights calibrate(const ModelFiles& files, const std::vector<Sample>& samples,
                            const CalibrationOptions& options, ThreadPool& threads);

}  // namespace lorikeet
