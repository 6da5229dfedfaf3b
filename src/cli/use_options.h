#pragma once
// The keys of commands that use a model rather than train it.
#include "config/options.h"
#include "lorikeet/config.h"

namespace lorikeet::cli {

/// Adapters that take turns on one base.
struct AdapterList {
  std::vector<std::string> adapter;
};

/// model, adapter, method, the quantization keys, chat_template, memory_limit, threads, ...; with `adapters`
/// the flag --adapter may be given several times and fills that list instead.
void add_use_keys(Options& options, RunConfig& config, AdapterList* adapters = nullptr);

/// How rows of --data become tokens and targets: data_format, the columns, max_length, ...
void add_row_keys(Options& options, RunConfig& config);

/// Throws Error(usage) if neither a model nor an adapter is named, and what `validate` throws.
void check_use(const RunConfig& config, std::string_view command, const AdapterList& adapters = {});

}  // namespace lorikeet::cli
