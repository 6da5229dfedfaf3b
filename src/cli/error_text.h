#pragma once
#include <string>

#include "lorikeet/error.h"

namespace lorikeet::cli {

/// The three lines of an error: what, where and fix; `command` fills a missing place or remedy.
std::string error_text(const Error& error, const std::string& command);

/// Runs `action` and turns whatever it throws into text on standard error and an exit code.
int run_and_report(const std::string& command, int (*action)(void*), void* context);

}  // namespace lorikeet::cli
