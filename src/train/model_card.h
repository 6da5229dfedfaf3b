#pragma once
#include <string>

#include "lorikeet/trainer.h"

namespace lorikeet {

/// README.md of an output folder: the front matter that model hubs read, then settings, data and result.
std::string model_card(const RunFacts& facts, const RunConfig& config, const RunResult& result);

}  // namespace lorikeet
