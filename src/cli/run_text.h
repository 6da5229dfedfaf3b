#pragma once
// A run in words: what is known before the first step, and what came of it.
#include <string>

#include "io/json.h"
#include "lorikeet/trainer.h"

namespace lorikeet::cli {

/// The lines above the progress bar.
std::string facts_text(const RunFacts& facts, const RunConfig& config, bool colour, int width);
/// The lines after the last step.
std::string result_text(const RunResult& result, const RunFacts& facts, const RunConfig& config);
/// What `finetune --json` prints.
Json result_json(const RunResult& result, const RunFacts& facts, const RunConfig& config);

}  // namespace lorikeet::cli
