#pragma once
#include <atomic>

namespace lorikeet::cli {

/// From here on the first Ctrl-C (or SIGTERM) says so and sets the flag, which the work in progress polls;
/// the second ends the process at once with 130. Without this call Ctrl-C ends the process as usual.
void catch_interrupts();

/// Set by the first Ctrl-C.
const std::atomic<bool>& interrupt_flag();

}  // namespace lorikeet::cli
