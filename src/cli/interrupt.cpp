#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace lorikeet::cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

extern "C" void on_interrupt(int) {
  constexpr int kInterruptedExit = 130;
  if (interrupted.exchange(true)) ::_exit(kInterruptedExit);
  static const char text[] = "\nstopping after this step; once more to stop at once\n";
  const auto ignored = ::write(STDERR_FILENO, text, sizeof text - 1);
  (void)ignored;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupt_flag() { return interrupted; }

}  // namespace lorikeet::cli
