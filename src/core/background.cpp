#include "core/background.h"

#include <system_error>
#include <utility>

namespace lorikeet {

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Background::run(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(task);
  }
  changed_.notify_one();
  if (thread_.joinable()) return;
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    // What was asked for is only a help.
  }
}

void Background::work() {
  for (std::unique_lock lock(mutex_);;) {
    changed_.wait(lock, [&] { return stop_ || next_; });
    if (stop_) return;
    const std::function<void()> task = std::exchange(next_, nullptr);
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace lorikeet
