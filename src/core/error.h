#pragma once
// Errors inside the library. User mistakes and broken files throw Error with what, where and fix;
// LORIKEET_CHECK guards invariants that no input can break and throws an internal error.
#include <fmt/core.h>

#include "lorikeet/error.h"

namespace lorikeet {

[[noreturn]] void throw_internal(const char* condition, const char* file, int line);

/// errno as text, e.g. "No space left on device".
std::string errno_text(int error_number);

}  // namespace lorikeet

#define LORIKEET_CHECK(condition) \
  ((condition) ? (void)0 : ::lorikeet::throw_internal(#condition, __FILE__, __LINE__))
