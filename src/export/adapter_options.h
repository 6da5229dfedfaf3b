#pragma once
// What an adapter's settings and files mean for one model.
#include <set>
#include <string>
#include <vector>

#include "lora/targets.h"
#include "model/files.h"
#include "peft/adapter_config.h"
#include "peft/adapter_files.h"

namespace lorikeet {

/// Fills what build_model needs for the adapter, and returns the modules with LoRA factors.
///
/// Throws what select_saved_modules and select_targets throw, Error(usage) for token indices that the
/// vocabulary lacks and for settings that exclude each other, Error(unsupported) for combinations that are
/// not built (DoRA outside the blocks, tied adapters).
std::vector<Target> apply_adapter(const AdapterConfig& config, const ModelSpec& spec, ModelOptions& options);

/// Tensors of the base that training or loading the adapter changes in memory.
std::set<std::string> changed_tensors(const ModelOptions& options);

/// The tensors of an adapter's file but PEFT's copies of embeddings that have one ("...base_layer.weight"),
/// which must be those of the model. Throws what read_adapter_tensors throws, Error(unsupported) for a copy
/// that differs: the adapter then belongs to a model with other embeddings.
std::vector<AdapterTensor> read_adapter_for(const ModelFiles& files, const std::string& folder);

}  // namespace lorikeet
