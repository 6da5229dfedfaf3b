#pragma once
#include "lora/targets.h"
#include "model/spec.h"

namespace lorikeet {

/// What no adapter may name: routers, experts, and the MLPs beside them, since PEFT takes their names for
/// those of the experts. Source: peft 0.21.2, transformers_weight_conversion.py, _convert_peft_config_moe.
std::vector<std::string> expert_module_paths(const ModelSpec& spec);

/// What gets adapters where nobody says: all-linear, or of a mixture of experts the modules of its attention.
ModuleSelection default_targets(const ModelSpec& spec);

/// The modules of a model that an adapter's settings name, embedding and head among them. Throws as
/// select_targets, and Error(unsupported) naming the module if an expert or a router is among them.
std::vector<Target> adapter_targets(const ModelSpec& spec, const TargetOptions& options);

}  // namespace lorikeet
