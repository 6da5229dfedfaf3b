#pragma once
// How far two models' outputs are apart on the same inputs.
#include <cstdint>
#include <vector>

#include "core/thread_pool.h"
#include "model/files.h"
#include "model/model.h"

namespace lorikeet {

struct LogitDifference {
  double largest = 0;   ///< of |difference|
  double mean = 0;      ///< of |difference|
  double kl = 0;        ///< mean over tokens of KL(reference || other), in nats
  double relative = 0;  ///< root of sum difference^2 / sum (reference - its mean per token)^2
  int64_t tokens = 0;
};

/// Compares all logits over `rows` of token ids. Both models compute in f32 (or bf16, as built) and have the
/// same vocabulary; a result that is not finite makes every figure infinite.
LogitDifference compare_logits(const Model& reference, const Model& other,
                               const std::vector<std::vector<int32_t>>& rows, ThreadPool& threads);

/// Rows of token ids to try a model on: short texts where the model has a tokenizer, and ids drawn at random.
std::vector<std::vector<int32_t>> sample_rows(const ModelFiles& files);

}  // namespace lorikeet
