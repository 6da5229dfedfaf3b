#pragma once
// The keys of commands that use a model rather than train it.
#include "config/options.h"
#include "lorikeet/config.h"

namespace lorikeet::cli {

/// model, adapter, method, the quantization keys, chat_template, memory_limit, threads, ...
void add_use_keys(Options& options, RunConfig& config);

/// Throws Error(usage) if neither a model nor an adapter is named, and what `validate` throws.
void check_use(const RunConfig& config, std::string_view command);

}  // namespace lorikeet::cli
