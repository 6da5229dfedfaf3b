#pragma once
#include <span>

#include "model/arch/hf_config.h"

namespace lorikeet {

/// A family: its Hugging Face architecture name, the models that are one, and the function that reads its
/// configuration.
struct Architecture {
  const char* name;
  const char* family;
  ModelSpec (*spec)(const HfConfig&);
  /// Why transformers packs none of its linear layers, or not all of them; null: it packs them all. Source:
  /// transformers 5.23, integrations/bitsandbytes.py, replace_with_bnb_linear.
  const char* never_packed = nullptr;
};

std::span<const Architecture> architectures();

/// Reads a configuration. Throws Error(unsupported) for an unknown architecture, naming those that exist, or
/// for a field value that no test covers; Error(format) for a broken file.
ModelSpec read_model_spec(const HfConfig& config);

}  // namespace lorikeet
