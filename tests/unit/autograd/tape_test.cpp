// What the tape refuses: each of these would be a silent wrong gradient.
#include "autograd/tape.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

class TapeMisuse : public ::testing::Test {
 protected:
  ThreadPool threads{1};
  Arena arena{1 << 16};
  Tape tape{{Device::cpu, &threads, &arena}, DType::f32, 16};
  Var made() {
    return tape.rebuilt({1, 4}, "norm.y", true, [](Tape&, TensorView v) { v.as<float>()[0] += 1; });
  }
};

TEST_F(TapeMisuse, RebuildInsideOpScratchThrows) {
  const Tape::Mark mark = tape.mark();
  Var x, y;
  {
    const Tape::HalfBlock scope(tape);
    x = made();
    y = tape.stored(tape.keep({1, 4}, "y"), true);
    tape.on_backward(y, [x](Tape& t) {
      const Tape::OpScratch scratch(t);
      t.value(x);
    });
  }
  EXPECT_THROW(tape.backward_to(mark), Error);
}

TEST_F(TapeMisuse, AValueGivenUpCannotBeRead) {
  const Var x = tape.stored(tape.keep({1, 4}, "gate"), true);
  tape.grad_over_value(x);
  EXPECT_THROW(tape.value(x), Error);
}

TEST_F(TapeMisuse, AGradientFromOutsideTheHalfBlockThrows) {
  const Tape::Mark mark = tape.mark();
  const Var outer = tape.stored(tape.keep({1, 4}, "outer"), true);
  {
    const Tape::HalfBlock scope(tape);
    const Var y = tape.stored(tape.keep({1, 4}, "y"), true);
    tape.on_backward(y, [outer](Tape& t) { t.grad_slot(outer); });
  }
  EXPECT_THROW(tape.backward_to(mark), Error);
}

TEST_F(TapeMisuse, AFullPoolThrows) {
  const TensorView v = tape.keep({1, 1}, "v");
  EXPECT_THROW(
      {
        for (int i = 0; i < 17; ++i) tape.stored(v, true);
      },
      Error);
}

TEST_F(TapeMisuse, RebuiltValuesComeBackInBackward) {
  const Tape::Mark mark = tape.mark();
  float seen = 0;
  {
    const Tape::HalfBlock scope(tape);
    const Var x = tape.rebuilt({1, 4}, "x", true, [](Tape&, TensorView v) { v.as<float>()[0] = 7; });
    const Var y = tape.stored(tape.keep({1, 4}, "y"), true);
    tape.on_backward(y, [x, out = &seen](Tape& t) { *out = t.value(x).as<float>()[0]; });
  }
  EXPECT_EQ(arena.top_mark(), 0u);
  tape.backward_to(mark);
  EXPECT_EQ(seen, 7);
}

}  // namespace
}  // namespace lorikeet
