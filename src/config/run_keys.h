#pragma once
// The table of every key of a run, in the order of help and run.yaml.
#include <span>

#include "config/key.h"
#include "lorikeet/config.h"

namespace lorikeet {

std::span<const Key<RunConfig>> run_keys();

/// The row of `name`, or null.
const Key<RunConfig>* find_run_key(std::string_view name);

}  // namespace lorikeet
