#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

namespace lorikeet::cli {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<const char*> notice{""};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free,
              "a signal handler may touch them");

extern "C" void on_interrupt(int) {
  constexpr int kInterruptedExit = 130;
  if (interrupted.exchange(true)) ::_exit(kInterruptedExit);
  const char* text = notice;
  const auto ignored = ::write(STDERR_FILENO, text, std::strlen(text));
  (void)ignored;
}

}  // namespace

void catch_interrupts(const char* text) {
  notice = text;
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupt_flag() { return interrupted; }

void reset_interrupt() { interrupted = false; }

}  // namespace lorikeet::cli
