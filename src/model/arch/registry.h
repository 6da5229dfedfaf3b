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
};

std::span<const Architecture> architectures();

/// Reads a configuration. Throws Error(unsupported) for an unknown architecture, naming those that exist, or
/// for a field value that no test covers; Error(format) for a broken file.
ModelSpec read_model_spec(const HfConfig& config);

}  // namespace lorikeet
