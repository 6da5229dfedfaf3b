#pragma once
// One function per file of this folder.
#include "model/arch/hf_config.h"

namespace lorikeet {

ModelSpec llama_spec(const HfConfig& c);

// Shared by the families.
Activation read_activation(const HfConfig& c, const std::string& key);
void read_rope(const HfConfig& c, ModelSpec& s);

}  // namespace lorikeet
