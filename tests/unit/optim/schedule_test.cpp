#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace lorikeet {
namespace {

// transformers 5.23: get_scheduler(name, optimizer, num_warmup_steps=3, num_training_steps=10).
void expect_rates(LrScheduler kind, const std::vector<double>& factors) {
  const Schedule schedule(kind, 2e-4, kind == LrScheduler::constant ? 0 : 3, 10);
  for (size_t i = 0; i < factors.size(); ++i)
    EXPECT_NEAR(schedule.rate(static_cast<int64_t>(i) + 1), 2e-4 * factors[i], 1e-19) << "step " << i + 1;
}

TEST(ConstantSchedule, EqualsTransformers) { expect_rates(LrScheduler::constant, {1, 1, 1, 1, 1}); }

TEST(ConstantScheduleWithWarmup, EqualsTransformers) {
  expect_rates(LrScheduler::constant_with_warmup, {0, 1.0 / 3, 2.0 / 3, 1, 1, 1, 1, 1, 1, 1});
}

TEST(LinearSchedule, EqualsTransformers) {
  expect_rates(LrScheduler::linear,
               {0, 0.3333333333333333, 0.6666666666666666, 1, 0.8571428571428571, 0.7142857142857143,
                0.5714285714285714, 0.42857142857142855, 0.2857142857142857, 0.14285714285714285});
}

TEST(CosineSchedule, EqualsTransformers) {
  expect_rates(LrScheduler::cosine,
               {0, 0.3333333333333333, 0.6666666666666666, 1, 0.9504844339512095, 0.8117449009293668,
                0.6112604669781572, 0.38873953302184283, 0.18825509907063326, 0.04951556604879048});
}

TEST(Warmup, IsStepsOrElseTheRoundedUpShare) {
  EXPECT_EQ(Schedule::resolve_warmup(0, 0.03, 100), 3);
  EXPECT_EQ(Schedule::resolve_warmup(0, 0.03, 101), 4);
  EXPECT_EQ(Schedule::resolve_warmup(7, 0.03, 100), 7);
  EXPECT_EQ(Schedule::resolve_warmup(0, 0, 100), 0);
  EXPECT_EQ(Schedule::resolve_warmup(50, 0, 10), 10);
}

}  // namespace
}  // namespace lorikeet
