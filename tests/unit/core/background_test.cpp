#include "core/background.h"

#include <gtest/gtest.h>

#include <future>

namespace lorikeet {
namespace {

TEST(Background, RunsATaskOnAThreadOfItsOwn) {
  std::promise<std::thread::id> ran;
  Background background;
  background.run([&] { ran.set_value(std::this_thread::get_id()); });
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

TEST(Background, DropsATaskThatANewerOneOvertook) {
  std::promise<void> begun, go_on, done;
  bool overtaken_ran = false;
  Background background;
  background.run([&] {
    begun.set_value();
    go_on.get_future().wait();
  });
  begun.get_future().wait();
  background.run([&] { overtaken_ran = true; });
  background.run([&] { done.set_value(); });
  go_on.set_value();
  done.get_future().wait();
  EXPECT_FALSE(overtaken_ran);
}

TEST(Background, WaitsForTheRunningTaskWhenItEnds) {
  std::promise<void> begun;
  bool ended = false;
  {
    Background background;
    background.run([&] {
      begun.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ended = true;
    });
    begun.get_future().wait();
  }
  EXPECT_TRUE(ended);
}

TEST(Background, EndsWithoutHavingRun) { const Background background; }

}  // namespace
}  // namespace lorikeet
