#include "core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"

namespace lorikeet {

namespace {

// Spinning covers the gaps between the ops of a step; longer pauses (loading, evaluation on one thread)
// sleep.
constexpr int kSpins = 4000;
// With fewer CPUs than runnable threads a spinning waiter would hold the CPU that its partner needs.
constexpr int kSpinsBeforeYield = 200;
// But a program that never yields keeps what it gets for a slice of milliseconds, at each op anew. Beside one
// of those it is faster to keep one's own slice too: 0.6 s instead of 11 for a run of short ops beside two.
constexpr std::chrono::microseconds kSlice{1000};
constexpr int kWaitsAfterAHog = 1000;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Gives the CPU to whoever waits for it. True if that one kept it: it does not yield in its turn.
bool yield_to_a_hog() {
  const auto before = std::chrono::steady_clock::now();
  std::this_thread::yield();
  return std::chrono::steady_clock::now() - before > kSlice;
}

/// Waits until `value` differs from `old`: spins, then yields, then sleeps.
template <class T>
void wait_for_change(const std::atomic<T>& value, T old) {
  thread_local int waits_without_yield = 0;
  const bool yields = waits_without_yield == 0;
  if (!yields) --waits_without_yield;
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    if (yields && i > kSpinsBeforeYield && i % 64 == 0 && yield_to_a_hog())
      waits_without_yield = kWaitsAfterAHog;
    pause_cpu();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

}  // namespace

struct alignas(64) ThreadPool::State {
  alignas(64) std::atomic<uint32_t> round{0};     // a new value starts the workers
  alignas(64) std::atomic<int64_t> next{0};       // next item to hand out
  alignas(64) std::atomic<uint32_t> finished{0};  // workers done with this round
  int64_t count = 0;
  Call call = nullptr;
  const void* context = nullptr;
  bool stop = false;
  std::mutex error_mutex;
  std::exception_ptr error;
  std::vector<std::thread> workers;

  void drain(int thread) {
    for (int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        call(context, item, thread);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  }

  void work(int thread) {
    for (uint32_t seen = 0;;) {
      wait_for_change(round, seen);
      seen = round.load(std::memory_order_acquire);
      if (stop) return;
      drain(thread);
      finished.fetch_add(1, std::memory_order_release);
      finished.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()), size_(std::max(threads, 1)) {
  try {
    for (int i = 1; i < size_; ++i) state_->workers.emplace_back([s = state_.get(), i] { s->work(i); });
  } catch (const std::system_error& e) {
    throw Error(ErrorKind::resource, fmt::format("cannot start {} threads: {}", size_, e.what()), "",
                "--threads 1");
  }
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->round.fetch_add(1, std::memory_order_release);
  state_->round.notify_all();
  for (std::thread& w : state_->workers) w.join();
}

void ThreadPool::run(int64_t n, Call call, const void* context) {
  if (n <= 0) return;
  if (size_ == 1 || n == 1) {
    for (int64_t i = 0; i < n; ++i) call(context, i, 0);
    return;
  }
  State& s = *state_;
  s.call = call;
  s.context = context;
  s.count = n;
  s.next.store(0, std::memory_order_relaxed);
  s.finished.store(0, std::memory_order_relaxed);
  s.round.fetch_add(1, std::memory_order_release);
  s.round.notify_all();
  s.drain(0);
  const auto workers = static_cast<uint32_t>(size_ - 1);
  for (uint32_t done; (done = s.finished.load(std::memory_order_acquire)) != workers;)
    wait_for_change(s.finished, done);
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

int ThreadPool::available_cpus() {
  cpu_set_t set;
  int n = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
  std::ifstream file("/sys/fs/cgroup/cpu.max");  // "max 100000" or "150000 100000"
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    const double cpus = std::strtod(quota.c_str(), nullptr) / period;
    if (cpus > 0) n = std::min(n, static_cast<int>(std::ceil(cpus)));
  }
  return std::max(n, 1);
}

}  // namespace lorikeet
