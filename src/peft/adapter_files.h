#pragma once
#include <string>
#include <vector>

#include "lora/trainable_store.h"
#include "peft/adapter_config.h"

namespace lorikeet {

/// A tensor of an adapter file, as f32.
struct AdapterTensor {
  std::string name;  ///< as in the file, without PEFT's "base_model.model." prefix
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// The tensors of <folder>/adapter_model.safetensors (f32, f16 or bf16), by name.
/// Throws Error(usage) if the file is missing, Error(format) for a broken one or a key without PEFT's prefix,
/// Error(unsupported) for pickled adapters and other element types.
std::vector<AdapterTensor> read_adapter_tensors(const std::string& folder);

/// Copies an adapter's tensors into the store; of a store that keeps its start, the file's second half must
/// be that start. Every tensor must fit one of the store's and every adapter tensor of the store must be
/// there; nothing is ignored. Throws Error(format) with counts and an example otherwise. `expected_blocks`
/// and `base` (what the adapter was trained on, may be empty) go into the message.
void load_adapter(TrainableStore& store, const std::vector<AdapterTensor>& tensors, const std::string& folder,
                  int64_t expected_blocks, const std::string& base);

/// Writes adapter_config.json and adapter_model.safetensors (f32) into an existing folder, atomically one by
/// one. A store that keeps its start A0, B0 is written as [A; A0], [B, -B0]: a plain adapter of twice the
/// rank that is right on the base as it was before the start. Returns the bytes of the tensor file.
uint64_t write_adapter(const std::string& folder, const TrainableStore& store, const AdapterConfig& config);

}  // namespace lorikeet
