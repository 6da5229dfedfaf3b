#include "generate/generator.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "engine/tiny_model.h"
#include "generate/group.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

constexpr size_t kPlenty = size_t{1} << 30;

class GeneratorTest : public ::testing::Test {
 protected:
  explicit GeneratorTest(DType compute = DType::f32) : source_(compute, false), store_(compute), threads_(2) {
    ModelOptions options;
    options.compute = compute;
    options.positions = 48;
    model_ = build_model(tiny_spec(), source_, options, store_, false, false);
  }

  static std::vector<std::vector<int32_t>> prompts(const std::vector<int>& lengths) {
    std::vector<std::vector<int32_t>> all;
    for (size_t i = 0; i < lengths.size(); ++i) {
      std::vector<int32_t>& p = all.emplace_back();
      for (int k = 0; k < lengths[i]; ++k)
        p.push_back(static_cast<int32_t>((i * 11 + static_cast<size_t>(k) * 7 + 3) % 43));
    }
    return all;
  }

  /// Greedy continuation without a cache: the whole row again for each token.
  std::vector<int32_t> slow(std::vector<int32_t> ids, int n) {
    std::vector<int32_t> fresh;
    for (int i = 0; i < n; ++i) {
      std::vector<int32_t> positions(ids.size());
      std::iota(positions.begin(), positions.end(), 0);
      const RowSpan span{0, static_cast<int32_t>(ids.size()), 0, static_cast<int32_t>(ids.size())};
      MicroBatch b;
      b.tokens = ids;
      b.positions = positions;
      b.rows = {&span, 1};
      Arena arena(size_t{16} << 20);
      std::vector<float> logits(43);
      const int32_t last = span.q_count - 1;
      Decoder(model_, Stream{Device::cpu, &threads_, &arena})
          .logits(b, {}, {}, {&last, 1}, TensorView(logits.data(), {1, 43}, DType::f32));
      fresh.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      ids.push_back(fresh.back());
    }
    return fresh;
  }

  static GenerateOptions tokens(int64_t n) {
    GenerateOptions o;
    o.max_new_tokens = n;
    return o;
  }

  RandomSource source_;
  TrainableStore store_;
  ThreadPool threads_;
  Model model_;
};

TEST_F(GeneratorTest, CachedRaggedBatchesContinueAsFullPassesWould) {
  const auto p = prompts({5, 1, 17, 9, 2});
  Generator generator(model_, threads_, kPlenty);
  const std::vector<Completion> done = generator.run(p, tokens(8));
  for (size_t i = 0; i < p.size(); ++i) {
    EXPECT_EQ(done[i].ids, slow(p[i], 8)) << i;
    EXPECT_EQ(done[i].finish_reason, FinishReason::length);
    EXPECT_EQ(done[i].prompt_tokens, static_cast<int64_t>(p[i].size()));
  }
}

TEST_F(GeneratorTest, ASmallBudgetRunsGroupsWithTheSameResults) {
  const auto p = prompts({5, 1, 17, 9, 2, 6, 12});
  Generator roomy(model_, threads_, kPlenty);
  const std::vector<Completion> wanted = roomy.run(p, tokens(6));
  const size_t budget = roomy.bytes_for(std::vector{p[2], p[6]}, 6);
  Generator tight(model_, threads_, budget);
  const std::vector<Completion> done = tight.run(p, tokens(6));
  for (size_t i = 0; i < p.size(); ++i) EXPECT_EQ(done[i].ids, wanted[i].ids) << i;
  EXPECT_LE(tight.peak_bytes(), budget);
  EXPECT_LT(tight.peak_bytes(), roomy.peak_bytes());
}

TEST_F(GeneratorTest, ARowThatFitsNoBudgetIsRefusedWithBothSizes) {
  Generator generator(model_, threads_, 100);
  expect_error([&] { generator.run(prompts({3}), tokens(4)); }, ErrorKind::resource,
               {"3 prompt tokens and 4 new ones", "prompt 1"});
}

TEST_F(GeneratorTest, StopIdsEndARowAndTheOthersGoOn) {
  const auto p = prompts({5, 9});
  Generator generator(model_, threads_, kPlenty);
  const std::vector<int32_t> first = generator.run(p, tokens(8))[0].ids;
  GenerateOptions o = tokens(8);
  o.stop_ids = {41, first[2]};
  const std::vector<Completion> done = generator.run(p, o);
  EXPECT_EQ(done[0].finish_reason, FinishReason::stop);
  const auto end = std::find(first.begin(), first.end(), first[2]) + 1;
  EXPECT_EQ(done[0].ids, std::vector<int32_t>(first.begin(), end));
  EXPECT_TRUE(done[1].ids.size() == 8 || done[1].ids.back() == first[2] || done[1].ids.back() == 41);
}

TEST_F(GeneratorTest, SampledRowsDoNotDependOnWhatElseIsInTheBatch) {
  GenerateOptions o = tokens(10);
  o.sampling.temperature = 1.3;
  const auto p = prompts({5, 9, 4});
  Generator generator(model_, threads_, kPlenty);
  const std::vector<Completion> together = generator.run(p, o);
  Generator alone(model_, threads_, generator.bytes_for(std::span(p).subspan(1, 1), 10));
  const std::vector<Completion> apart = alone.run(p, o);
  for (size_t i = 0; i < p.size(); ++i) EXPECT_EQ(together[i].ids, apart[i].ids);
  EXPECT_NE(together[0].ids, slow(p[0], 10));
}

TEST_F(GeneratorTest, TheCallbackSeesEveryTokenInOrderAndCanEndTheRun) {
  const auto p = prompts({5, 9});
  Generator generator(model_, threads_, kPlenty);
  std::vector<std::vector<int32_t>> seen(2);
  const std::vector<Completion> done = generator.run(p, tokens(6), [&](size_t row, int32_t id) {
    seen[row].push_back(id);
    return AfterToken::go_on;
  });
  EXPECT_EQ(seen[0], done[0].ids);
  EXPECT_EQ(seen[1], done[1].ids);
  int calls = 0;
  const std::vector<Completion> cut = generator.run(
      p, tokens(6), [&](size_t, int32_t) { return ++calls < 5 ? AfterToken::go_on : AfterToken::end_run; });
  EXPECT_EQ(calls, 5);
  EXPECT_EQ(cut[0].finish_reason, FinishReason::cancelled);
}

TEST_F(GeneratorTest, ARowThatTheCallbackEndsLeavesTheBatchAndTheOthersGoOn) {
  const auto p = prompts({5, 9});
  Generator generator(model_, threads_, kPlenty);
  const std::vector<Completion> whole = generator.run(p, tokens(6));
  const std::vector<Completion> cut = generator.run(
      p, tokens(6), [](size_t row, int32_t) { return row == 0 ? AfterToken::end_row : AfterToken::go_on; });
  EXPECT_THAT(cut[0].ids, ::testing::ElementsAre(whole[0].ids[0]));
  EXPECT_EQ(cut[0].finish_reason, FinishReason::cancelled);
  EXPECT_EQ(cut[1].ids, whole[1].ids);
  EXPECT_EQ(cut[1].finish_reason, FinishReason::length);
}

/// Token counts of the prefill calls, and the rows they score.
struct Prefill {
  std::vector<int64_t> sizes;
  std::vector<size_t> scored;
  explicit Prefill(Group group) {
    Feed feed;
    std::vector<int64_t> counts;
    while (next_prefill(group, feed, counts)) {
      sizes.push_back(feed.tokens());
      scored.insert(scored.end(), feed.scored().begin(), feed.scored().end());
      note_prefill(group, counts);
    }
  }
};
Group group_of(const std::vector<std::vector<int32_t>>& prompts) {
  std::vector<size_t> all(prompts.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return Group(prompts, all, 4, true);
}

TEST(Prefilling, TakesLongPromptsInParts) {
  const Prefill p(group_of({std::vector<int32_t>(1500, 1), std::vector<int32_t>(700, 2)}));
  EXPECT_THAT(p.sizes, ::testing::ElementsAre(1024, 1024, 152));
  EXPECT_THAT(p.scored, ::testing::ElementsAre(0, 1));
}

TEST(Prefilling, FeedsWhatPromptsShareOnceAndKeepsATokenOfEach) {
  std::vector<std::vector<int32_t>> prompts(3, std::vector<int32_t>(50, 1));
  prompts[0].resize(60, 2);
  prompts[2].resize(40, 1);
  const Prefill p(group_of(prompts));
  EXPECT_THAT(p.sizes, ::testing::ElementsAre(39, 21 + 11 + 1));
  EXPECT_THAT(p.scored, ::testing::ElementsAre(0, 1, 2));
}

TEST(Prefilling, DoesNotShareWhereAPassOverTheWeightsCostsMore) {
  const Prefill p(group_of({{1, 2, 3}, {1, 2, 4}}));
  EXPECT_THAT(p.sizes, ::testing::ElementsAre(6));
}

TEST_F(GeneratorTest, WrongRequestsAreRefusedByPrompt) {
  Generator generator(model_, threads_, kPlenty);
  const auto refused = [&](std::vector<std::vector<int32_t>> p, int64_t n,
                           std::initializer_list<std::string> parts) {
    expect_error([&] { generator.run(p, tokens(n)); }, ErrorKind::usage, parts);
  };
  refused({{1}, {}}, 4, {"no tokens", "prompt 2"});
  refused({{43}}, 4, {"token id 43", "vocabulary of 43"});
  refused({{1}}, 0, {"max_new_tokens is 0"});
  refused({std::vector<int32_t>(45, 1)}, 4,
          {"45 prompt tokens and 4 new ones", "48 positions", "--max-new-tokens 3"});
  refused({{1}}, INT64_MAX, {"48 positions"});
}

class Bf16GeneratorTest : public GeneratorTest {
 protected:
  Bf16GeneratorTest() : GeneratorTest(DType::bf16) {}
};
TEST_F(Bf16GeneratorTest, PromptsThatBeginAlikeGiveWhatEachGivesAlone) {
  auto p = prompts({40, 38, 35, 40});
  for (auto& prompt : p) std::copy_n(p[0].begin(), 30, prompt.begin());
  ASSERT_EQ(group_of(p).shared, 30);
  Generator generator(model_, threads_, kPlenty);
  const std::vector<Completion> together = generator.run(p, tokens(6));
  for (size_t i = 0; i < p.size(); ++i)
    EXPECT_EQ(generator.run(std::span(p).subspan(i, 1), tokens(6))[0].ids, together[i].ids) << i;
}
TEST_F(Bf16GeneratorTest, BatchesGiveWhatSingleRowsGive) {
  const auto p = prompts({5, 1, 17, 9});
  Generator generator(model_, threads_, kPlenty);
  const std::vector<Completion> together = generator.run(p, tokens(6));
  for (size_t i = 0; i < p.size(); ++i)
    EXPECT_EQ(generator.run(std::span(p).subspan(i, 1), tokens(6))[0].ids, together[i].ids) << i;
}

}  // namespace
}  // namespace lorikeet::testing
