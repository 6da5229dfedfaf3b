#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace lorikeet {
namespace {

TEST(ThreadPool, CallsEveryItemOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const int64_t n : {0, 1, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
      std::atomic<bool> bad_thread = false;
      pool.for_each(n, [&](int64_t i, int thread) {
        ++calls[static_cast<size_t>(i)];
        if (thread < 0 || thread >= threads) bad_thread = true;
      });
      for (const auto& c : calls) EXPECT_EQ(c, 1);
      EXPECT_FALSE(bad_thread);
    }
  }
}

TEST(ThreadPool, MakesTheWorkOfItemsVisibleToTheCaller) {
  ThreadPool pool(3);
  std::vector<int64_t> out(64);
  for (int round = 0; round < 2000; ++round) {
    pool.for_each(64, [&](int64_t i, int) { out[static_cast<size_t>(i)] = round + i; });
    for (int64_t i = 0; i < 64; ++i) ASSERT_EQ(out[static_cast<size_t>(i)], round + i);
  }
}

TEST(ThreadPool, RethrowsAndStaysUsable) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.for_each(10,
                             [](int64_t i, int) {
                               if (i == 3) throw std::runtime_error("item");
                             }),
               std::runtime_error);
  std::atomic<int> calls = 0;
  pool.for_each(10, [&](int64_t, int) { ++calls; });
  EXPECT_EQ(calls, 10);
}

TEST(ThreadPool, CountsAtLeastOneCpu) { EXPECT_GE(ThreadPool::available_cpus(), 1); }

}  // namespace
}  // namespace lorikeet
