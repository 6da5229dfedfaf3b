#pragma once
#include <atomic>

namespace lorikeet::cli {

/// From here on the first Ctrl-C (or SIGTERM) writes `text` to standard error and sets the flag, which the
/// work in progress polls; the second ends the process at once with 130. Processes forked later share the
/// flag: a signal to any of them stops them all. Without this call Ctrl-C ends the process as usual. `text`
/// must live as long as the process.
void catch_interrupts(const char* text);

/// Set by the first Ctrl-C. Not to be kept from before catch_interrupts().
const std::atomic<bool>& interrupt_flag();

/// The next Ctrl-C is a first one again.
void reset_interrupt();

}  // namespace lorikeet::cli
