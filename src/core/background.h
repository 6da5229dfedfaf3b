#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace lorikeet {

/// Runs tasks that are worth doing only in time, such as reading ahead, on a thread of its own.
///
/// Non-goals: results, an order. A task that has not begun when a newer one comes is dropped; where no thread
/// can be had, all of them are. The destructor waits for the task that runs.
class Background {
 public:
  Background() = default;
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// `task` must not throw. The thread is started by the first one.
  void run(std::function<void()> task);

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> next_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lorikeet
