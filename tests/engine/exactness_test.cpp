// What must not change a bit, and what may change only by rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <set>
#include <tuple>

#include "engine/tiny_model.h"

namespace {
std::atomic<long> g_news{0};
}
// Not inlined: the compiler would otherwise see free() of what it takes for its own operator new.
__attribute__((noinline)) void* operator new(size_t n) {
  ++g_news;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace lorikeet::testing {
namespace {

const std::vector<HostBatch>& whole() {
  static const std::vector<HostBatch> b = {make_batch({7, 5, 9, 1, 4}, 43)};
  return b;
}

Engine::Result run(StepSetup s, const std::vector<HostBatch>& batches = whole()) {
  return Engine(s).step(batches);
}

class EachType : public ::testing::TestWithParam<std::tuple<DType, bool>> {
 protected:
  StepSetup setup() const {
    StepSetup s;
    s.dtype = std::get<DType>(GetParam());
    if (std::get<bool>(GetParam())) s.spec = experts_spec();
    return s;
  }
};

TEST_P(EachType, RecomputationChangesNoBit) {
  const auto all = run(setup());
  for (int64_t kept = 0; kept < 4; ++kept) {
    StepSetup s = setup();
    s.kept = kept;
    EXPECT_TRUE(same_bits(all, run(s))) << kept << " blocks kept";
  }
}

TEST_P(EachType, RecomputationWithDoraChangesNoBitAndItsPlanIsExact) {
  for (const double dropout : {0.0, 0.3}) {
    StepSetup s = setup();
    s.dora = true;
    s.dropout = dropout;
    const auto all = run(s);
    EXPECT_EQ(all.planned, all.used);
    s.kept = 0;
    s.threads = 3;
    const auto none = run(s);
    EXPECT_TRUE(same_bits(all, none)) << "dropout " << dropout;
    EXPECT_EQ(none.planned, none.used);
  }
}

TEST_P(EachType, RecomputationWithDropoutChangesNoBit) {
  StepSetup s = setup();
  s.dropout = 0.3;
  const auto all = run(s);
  EXPECT_FALSE(same_bits(all, run(setup())));
  s.kept = 0;
  EXPECT_TRUE(same_bits(all, run(s)));
}

TEST_P(EachType, ThreadCountChangesNoBit) {
  const auto one = run(setup());
  for (const int threads : {2, 3}) {
    StepSetup s = setup();
    s.threads = threads;
    s.kept = threads;
    EXPECT_TRUE(same_bits(one, run(s))) << threads << " threads";
  }
}

TEST_P(EachType, UnwrittenMemoryIsNeverRead) {
  StepSetup s = setup();
  const auto clean = run(s);
  s.nan_fill = true;
  s.kept = 2;
  EXPECT_TRUE(same_bits(clean, run(s)));
}

TEST_P(EachType, PlannedBytesEqualUsedBytes) {
  for (const int threads : {1, 3})
    for (int64_t kept = 0; kept <= 4; ++kept) {
      StepSetup s = setup();
      s.kept = kept;
      s.threads = threads;
      const auto r = run(s);
      EXPECT_EQ(r.planned, r.used) << kept << " blocks kept";
    }
}

INSTANTIATE_TEST_SUITE_P(Engine, EachType,
                         ::testing::Combine(::testing::Values(DType::f32, DType::bf16, DType::f64),
                                            ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(name_of(std::get<DType>(info.param))) +
                                  (std::get<bool>(info.param) ? "_experts" : "");
                         });

TEST(Accumulation, TwoMicroBatchesEqualOneToRounding) {
  const auto all = run({}), split = run({}, {make_batch({7, 5}, 43), make_batch({9, 1, 4}, 43, 12)});
  EXPECT_LT(nmse(split.grads, all.grads), 1e-12);  // another order of the token sum, in f32
  StepSetup f64;
  f64.dtype = DType::f64;
  EXPECT_LT(nmse(run(f64, {make_batch({7, 5}, 43), make_batch({9, 1, 4}, 43, 12)}).grads, run(f64).grads),
            1e-26);
}

TEST(Accumulation, TokenLossesDoNotDependOnTheNeighbours) {
  for (const ModelSpec& spec : {tiny_spec(), experts_spec()}) {
    StepSetup s;
    s.spec = spec;
    const auto all = run(s), split = run(s, {make_batch({7, 5}, 43), make_batch({9, 1, 4}, 43, 12)});
    ASSERT_EQ(all.token_losses.size(), split.token_losses.size());
    for (size_t i = 0; i < all.token_losses.size(); ++i)
      EXPECT_EQ(all.token_losses[i], split.token_losses[i]) << i;
  }
}

TEST(Accumulation, DropoutDoesNotDependOnTheSplit) {
  StepSetup s;
  s.dropout = 0.4;
  EXPECT_LT(nmse(run(s, {make_batch({7, 5}, 43), make_batch({9, 1, 4}, 43, 12)}).grads, run(s).grads), 1e-12);
}

/// The rows of a batch in another order, as packing lays them.
HostBatch reordered(const HostBatch& b, const std::vector<size_t>& order) {
  HostBatch out;
  for (const size_t row : order) {
    const RowSpan from = b.rows[row];
    const auto begin = static_cast<int32_t>(out.tokens.size());
    out.rows.push_back({begin, from.q_count, begin, from.q_count});
    out.row_ids.push_back(b.row_ids[row]);
    for (size_t i = 0; i < b.target_at.size(); ++i) {
      if (b.target_at[i] < from.q_begin || b.target_at[i] >= from.q_begin + from.q_count) continue;
      out.target_at.push_back(b.target_at[i] - from.q_begin + begin);
      out.target_id.push_back(b.target_id[i]);
    }
    for (int32_t i = from.q_begin; i < from.q_begin + from.q_count; ++i) {
      out.tokens.push_back(b.tokens[static_cast<size_t>(i)]);
      out.positions.push_back(b.positions[static_cast<size_t>(i)]);
    }
  }
  return out;
}

/// Losses of the tokens of one row.
std::vector<double> losses_of(const HostBatch& b, const Engine::Result& r, int64_t row_id) {
  const auto row =
      static_cast<size_t>(std::find(b.row_ids.begin(), b.row_ids.end(), row_id) - b.row_ids.begin());
  std::vector<double> losses;
  for (size_t i = 0; i < b.target_at.size(); ++i)
    if (b.target_at[i] >= b.rows[row].q_begin && b.target_at[i] < b.rows[row].q_begin + b.rows[row].q_count)
      losses.push_back(r.token_losses[i]);
  return losses;
}

class PackedRows : public ::testing::Test {
 protected:
  // Best-fit with room for 10 makes 0 2 | 1 3 4 | 5 of these lengths.
  const HostBatch plain_ = make_batch({6, 3, 4, 5, 2, 9}, 43),
                  packed_ = reordered(plain_, {0, 2, 1, 3, 4, 5});
};

TEST_F(PackedRows, HaveTheSameBitsInEveryTokenLoss) {
  for (const DType type : {DType::f32, DType::bf16}) {
    StepSetup s;
    s.dtype = type;
    s.dropout = 0.2;
    const auto plain = run(s, {plain_}), packed = run(s, {packed_});
    for (const int64_t id : plain_.row_ids)
      EXPECT_EQ(losses_of(plain_, plain, id), losses_of(packed_, packed, id))
          << name_of(type) << " row " << id;
  }
}

TEST_F(PackedRows, HaveTheSameGradientsToRounding) {
  // Only the order of the token sums differs, in f32.
  EXPECT_LT(nmse(run({}, {packed_}).grads, run({}, {plain_}).grads), 1e-12);
}

TEST(Recomputation, NeedsLessMemoryForEachBlockNotKept) {
  size_t last = 0;
  for (int64_t kept = 1; kept <= 4; ++kept) {
    StepSetup s;
    s.kept = kept;
    const size_t planned = run(s).planned;
    EXPECT_GT(planned, last);
    last = planned;
  }
}

class Step : public ::testing::TestWithParam<bool> {};

TEST_P(Step, AllocatesNothingOnTheHeap) {
  StepSetup s;
  if (GetParam()) s.spec = experts_spec();
  s.threads = 2;
  Engine engine(s);
  const auto planned = engine.step(whole()).planned;
  Arena arena(planned);
  const Stream stream{Device::cpu, &engine.threads(), &arena};
  Decoder decoder(engine.model(), stream);
  double loss = 0;
  const MicroBatch batch = whole()[0].view();
  const LossTotals totals{TensorView(&loss, {1, 1}, DType::f64), nullptr, nullptr};
  const long before = g_news;
  decoder.forward_backward(batch, 1, 2, {}, totals);
  EXPECT_EQ(g_news - before, 0);
}

INSTANTIATE_TEST_SUITE_P(WithExperts, Step, ::testing::Bool());

TEST(Evaluation, LossEqualsTheTrainingLoss) {
  Engine engine({});
  const auto step = engine.step(whole());
  Arena arena(size_t{64} << 20);
  const Stream stream{Device::cpu, &engine.threads(), &arena};
  Decoder decoder(engine.model(), stream);
  double loss = 0;
  int64_t correct = 0;
  const MicroBatch batch = whole()[0].view();
  decoder.evaluate(batch, {TensorView(&loss, {1, 1}, DType::f64), &correct, nullptr});
  EXPECT_EQ(loss / static_cast<double>(batch.target_at.size()), step.loss.real());
}

class RecordingSource : public RandomSource {
 public:
  RecordingSource() : RandomSource(DType::f32, /*dry=*/false) {}
  Weight matrix(const std::string& name, int64_t rows, int64_t cols) override {
    asked.insert(name);
    return RandomSource::matrix(name, rows, cols);
  }
  void release(const std::string& name) const override { released.insert(name); }
  std::set<std::string> asked;
  mutable std::set<std::string> released;
};

TEST(FullFineTuning, HandsBackEveryMatrixWhoseValuesItCopied) {
  RecordingSource source;
  TrainableStore store(DType::f32);
  ModelOptions options;
  options.positions = 16;
  options.train_base = true;
  build_model(tiny_spec(), source, options, store, /*with_gradients=*/true, /*dry=*/false);
  EXPECT_EQ(source.released, source.asked);
}

TEST(FullArena, NamesTheTensorThatDoesNotFit) {
  Engine engine({});
  engine.step(whole());
  Arena arena(4096);
  Decoder decoder(engine.model(), {Device::cpu, &engine.threads(), &arena});
  double loss = 0;
  const MicroBatch batch = whole()[0].view();
  try {
    decoder.forward_backward(batch, 1, 0, {}, {TensorView(&loss, {1, 1}, DType::f64), nullptr, nullptr});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::resource);
    EXPECT_NE(e.message().find("arena"), std::string::npos);
  }
}

}  // namespace
}  // namespace lorikeet::testing
