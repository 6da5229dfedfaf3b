#pragma once
#include <functional>

#include "io/json.h"

namespace lorikeet::cli {

/// Runs `work` in a process of its own and returns its result; what it throws as an Error is thrown here. So
/// the peak memory that it measures is its own, and a process that the system kills ends nothing else.
/// The caller must have no threads. Throws Error(resource) if the process was killed or cannot be made.
Json in_child(const std::function<Json()>& work);

}  // namespace lorikeet::cli
