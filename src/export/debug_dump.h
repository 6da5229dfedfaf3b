#pragma once
// Logits, loss, hidden states and gradients of one batch as a safetensors file, for comparison with other
// programs.
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "lora/trainable_store.h"
#include "model/model.h"

namespace lorikeet {

/// A tokenized row; labels (as many as ids) say -100 where no loss is wanted and are shifted inside.
struct DumpRow {
  std::vector<int32_t> ids, labels;
};

struct DumpRequest {
  std::vector<DumpRow> rows;  ///< all of them form one batch
  bool gradients = false;     ///< needs a store with gradients
  bool hidden_states = false;
  std::string output;
};

/// Writes float32 tensors:
///   "loss" [1]                     mean over the batch's target tokens
///   "logits.<row>" [T,V]
///   "hidden.<layer>.<row>" [T,C]   input of each block, then the last norm's output
///   "grad.base_model.model.<...>"  gradient of that loss, by the names of PEFT's files (base tensors by
///   their own)
///
/// Throws Error(usage) for empty rows, labels of another length, ids outside the vocabulary, rows longer than
/// the model's rope tables, or no target at all.
void write_debug_dump(const Model& model, TrainableStore& store, ThreadPool& threads,
                      const DumpRequest& request);

/// How two dumps differ in one tensor.
struct DumpDifference {
  std::string name;
  std::vector<int64_t> shape_a, shape_b;  ///< empty where the tensor is missing
  double largest = 0;                     ///< of |a - b|
  double nmse = 0;                        ///< sum (a-b)^2 / sum a^2
  bool comparable = true;                 ///< false: missing on one side, or other shapes
  bool beyond(double tolerance) const { return !comparable || !(nmse <= tolerance); }
};

/// Every tensor of either file in the order in which a model computes them: hidden states by layer, logits,
/// loss, gradients; numbers in names count as numbers. Element types F32, BF16, F16. Throws what
/// SafetensorsSet::open_file throws, Error(unsupported) for other element types.
std::vector<DumpDifference> diff_dumps(const std::string& a, const std::string& b);

}  // namespace lorikeet
