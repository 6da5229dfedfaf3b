#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace lorikeet {

/// Persistent worker threads that share one counter of work items.
///
/// Goals: a hand-off of well under a microsecond while a step is running (workers spin first, then sleep on a
/// futex), no allocation per call, results that never depend on the number of threads (each item owns its
/// outputs). Non-goals: nesting, several callers at once, priorities.
class ThreadPool {
 public:
  /// `threads` >= 1 counts the caller, so 1 starts no thread. Throws Error(resource) if a thread cannot
  /// start.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Calls f(item, thread) once for each item in [0, n), thread in [0, size()). Returns when all are done.
  /// The first exception thrown by an item is rethrown here after the others have ended.
  template <class F>
  void for_each(int64_t n, const F& f) {
    run(
        n, [](const void* c, int64_t item, int thread) { (*static_cast<const F*>(c))(item, thread); }, &f);
  }

  /// Number of CPUs this process may run on, cgroup quota included.
  static int available_cpus();

 private:
  using Call = void (*)(const void* context, int64_t item, int thread);
  void run(int64_t n, Call call, const void* context);
  struct State;
  std::unique_ptr<State> state_;
  int size_;
};

}  // namespace lorikeet
