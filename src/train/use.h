#pragma once
// Using what a run made: which base, method and quantization an adapter needs.
#include <string>
#include <vector>

#include "lorikeet/config.h"
#include "model/files.h"

namespace lorikeet {

/// `given` completed for use: with an adapter whose folder (or the folder above a checkpoint) holds a
/// run.yaml, the keys model, method, base_format, bnb_4bit_*, compute_dtype, chat_template and system_prompt
/// come from there unless given. Throws Error(usage) if neither the adapter nor the user names a model.
RunConfig config_for_use(const RunConfig& given);

/// The same for adapters that take turns on one base (none: the bare base, one configuration). Throws also
/// Error(usage) naming both where their runs held the base differently, and the user does not say how.
std::vector<RunConfig> configs_for_use(const RunConfig& given, const std::vector<std::string>& adapters);

/// Key under which run.yaml records the base model's fingerprint.
inline constexpr const char* kFingerprintKey = "base_fingerprint";

/// Throws Error(usage) if `used` records another base than `files` and allow_other_base is not set.
void check_fingerprint(const RunConfig& used, const ModelFiles& files);

}  // namespace lorikeet
