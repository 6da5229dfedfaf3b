#include "cli/interrupt.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <new>

namespace lorikeet::cli {
namespace {

std::atomic<bool> unshared{false};
std::atomic<bool>* asked_to_stop = &unshared;  // of this process and those it forks
std::atomic<bool> signalled{false};            // this process
std::atomic<const char*> notice{""};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free,
              "a signal handler may touch them");

extern "C" void on_interrupt(int) {
  constexpr int kInterruptedExit = 130;
  if (signalled.exchange(true)) ::_exit(kInterruptedExit);
  if (asked_to_stop->exchange(true)) return;  // a terminal signals them all: one of them says so
  const char* text = notice;
  const auto ignored = ::write(STDERR_FILENO, text, std::strlen(text));
  (void)ignored;
}

}  // namespace

void catch_interrupts(const char* text) {
  notice = text;
  if (asked_to_stop == &unshared) {
    void* page = ::mmap(nullptr, sizeof unshared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) asked_to_stop = new (page) std::atomic<bool>(false);
  }
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

const std::atomic<bool>& interrupt_flag() { return *asked_to_stop; }

void reset_interrupt() { signalled = *asked_to_stop = false; }

}  // namespace lorikeet::cli
