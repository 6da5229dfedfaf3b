#pragma once
#include "lora/targets.h"
#include "model/spec.h"

namespace lorikeet {

/// The modules of a model that an adapter's settings name. Throws as select_targets, and Error(unsupported)
/// naming the module if an expert or a router is among them.
std::vector<Target> adapter_targets(const ModelSpec& spec, const TargetOptions& options);

}  // namespace lorikeet
