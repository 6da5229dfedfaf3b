#include "data/loader.h"

#include <gmock/gmock.h>

#include <set>

#include "data/dataset.h"
#include "data/packing.h"
#include "data/shuffle.h"
#include "unit/data/tiny_tokenizer.h"

namespace lorikeet::testing {
namespace {

using ::testing::ElementsAre;
using Ids = std::vector<int32_t>;

std::vector<Sample> rows_of_lengths(const std::vector<int>& lengths) {
  std::vector<Sample> samples;
  for (const int n : lengths) {
    Sample s;
    s.row_id = static_cast<int64_t>(samples.size());
    for (int i = 0; i < n; ++i) s.input_ids.push_back(static_cast<int32_t>(100 * s.row_id + i));
    s.labels = s.input_ids;
    s.labels[0] = kNoTarget;
    samples.push_back(std::move(s));
  }
  return samples;
}

/// Row numbers of the steps of an epoch, by micro-batch.
std::string epoch_text(Loader& loader, int64_t epoch) {
  MacroBatch batch;
  std::string text;
  for (int64_t i = 0; i < loader.steps_per_epoch(); ++i) {
    loader.load(epoch, i, batch);
    for (size_t m = 0; m < batch.count; ++m) {
      for (const int64_t row : batch.micro(m).row_ids) text += std::to_string(row) + " ";
      text += m + 1 < batch.count ? "| " : "; ";
    }
  }
  return text;
}

TEST(Loader, DealsRowsToMicroBatchesAndEndsWithAShortStep) {
  const auto rows = rows_of_lengths({2, 2, 2, 2, 2, 2, 2});
  Loader loader(rows, {.batch_rows = 2, .accumulation = 2, .shuffle = false});
  EXPECT_EQ(loader.steps_per_epoch(), 2);
  EXPECT_EQ(epoch_text(loader, 0), "0 1 | 2 3 ; 4 5 | 6 ; ");
}

TEST(Loader, ShowsEachRowOnceInAnOrderOfItsOwnPerEpoch) {
  const auto rows = rows_of_lengths(std::vector<int>(50, 2));
  Loader loader(rows, {.batch_rows = 1, .seed = 3});
  const std::string first = epoch_text(loader, 0), second = epoch_text(loader, 1);
  EXPECT_NE(first, second);
  Loader again(rows, {.batch_rows = 1, .seed = 3});
  EXPECT_EQ(epoch_text(again, 1), second);
  EXPECT_EQ(epoch_text(again, 0), first);
  Loader other(rows, {.batch_rows = 1, .seed = 4});
  EXPECT_NE(epoch_text(other, 0), first);
  std::multiset<uint32_t> seen;
  for (const uint32_t row : shuffled(50, 3, "row order", 0)) seen.insert(row);
  EXPECT_EQ(std::set<uint32_t>(seen.begin(), seen.end()).size(), 50U);
}

TEST(Loader, PutsRowsEndToEndAndShiftsLabels) {
  std::vector<Sample> rows = rows_of_lengths({3, 2});
  rows[0].labels = {kNoTarget, 7, kNoTarget};
  Loader loader(rows, {.batch_rows = 2, .shuffle = false});
  MacroBatch batch;
  loader.load(0, 0, batch);
  const MicroBatch m = batch.micro(0);
  EXPECT_THAT(m.tokens, ElementsAre(0, 1, 2, 100, 101));
  EXPECT_THAT(m.positions, ElementsAre(0, 1, 2, 0, 1));
  EXPECT_THAT(m.target_at, ElementsAre(0, 3));
  EXPECT_THAT(m.target_id, ElementsAre(7, 101));
  EXPECT_THAT(m.row_ids, ElementsAre(0, 1));
  EXPECT_EQ(m.rows[1].q_begin, 3);
  EXPECT_EQ(m.rows[1].k_count, 2);
  EXPECT_EQ(batch.target_tokens, 2);
  EXPECT_EQ(batch.tokens, 5);
}

TEST(Loader, AFirstLabelIsNeverATarget) {
  std::vector<Sample> rows = rows_of_lengths({2});
  rows[0].labels = {5, 6};
  Loader loader(rows, {.batch_rows = 1});
  MacroBatch batch;
  loader.load(0, 0, batch);
  EXPECT_EQ(batch.target_tokens, 1);
}

TEST(Loader, TheLargestMicroBatchIsOneThatOccursAndIsFullyLabelled) {
  // Unshuffled pairs: (9 1) (2 3) (8 8); the longest row stands in another pair than the most tokens.
  const auto rows = rows_of_lengths({9, 1, 2, 3, 8, 8});
  Loader loader(rows, {.batch_rows = 2, .shuffle = false});
  const std::vector<MicroBatchStorage> largest = loader.largest(3);
  ASSERT_EQ(largest.size(), 2U);
  EXPECT_EQ(largest[0].view().n(), 16);
  EXPECT_EQ(largest[0].view().target_at.size(), 14U);
  EXPECT_EQ(largest[1].view().n(), 10);
  Loader short_run(rows, {.batch_rows = 2, .shuffle = false});
  EXPECT_EQ(short_run.largest(1)[0].view().n(), 10);
}

TEST(Loader, AReservedBatchIsLoadedWithoutAllocating) {
  const auto rows = rows_of_lengths({5, 1, 4, 2, 3, 6, 1});
  Loader loader(rows, {.batch_rows = 2, .accumulation = 2});
  MacroBatch batch;
  loader.reserve(batch, 8);
  const int64_t before = batch.storage[0].bytes() + batch.storage[1].bytes();
  for (int64_t step = 0; step < 8; ++step) loader.load(step / 2, step % 2, batch);
  EXPECT_EQ(batch.storage[0].bytes() + batch.storage[1].bytes(), before);
}

TEST(Packing, FillsSequencesBestFit) {
  const auto rows = rows_of_lengths({6, 3, 4, 5, 2, 9});
  // Longest first: 9 | 6 4 | 5 3 2 with room for 10.
  EXPECT_THAT(pack_rows(rows, 10), ElementsAre(ElementsAre(0, 2), ElementsAre(1, 3, 4), ElementsAre(5)));
}

TEST(Packing, SequencesHoldRowsThatStaySeparate) {
  const auto rows = rows_of_lengths({6, 3, 4, 5, 2, 9});
  Loader loader(rows, {.batch_rows = 1, .shuffle = false, .packing = true, .max_length = 10});
  EXPECT_EQ(loader.sequences(), 3);
  EXPECT_EQ(epoch_text(loader, 0), "0 2 ; 1 3 4 ; 5 ; ");
  MacroBatch batch;
  loader.load(0, 0, batch);
  EXPECT_THAT(batch.micro(0).positions, ElementsAre(0, 1, 2, 3, 4, 5, 0, 1, 2, 3));
}

TEST(EvaluationBatches, RespectRowsAndTokens) {
  const auto rows = rows_of_lengths({4, 4, 4, 9, 1, 1, 1});
  EXPECT_THAT(evaluation_batches(rows, 3, 8),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2), ElementsAre(3), ElementsAre(4, 5, 6)));
}

class DatasetTest : public TinyTokenizer {
 protected:
  DatasetTest() { options.rows.vocab_size = 16; }
  Dataset load(const std::string& content, int threads = 1) const {
    ThreadPool pool(threads);
    return load_dataset({write("a.jsonl", content)}, options, nullptr, nullptr, pool);
  }
  static std::string many_rows(int n, int broken = -1) {
    std::string text;
    for (int i = 0; i < n; ++i)
      text += i == broken ? "{\"input_ids\":[99,99]}\n" : fmt::format("{{\"input_ids\":[1,{}]}}\n", i % 16);
    return text;
  }
  DatasetOptions options;
};

TEST_F(DatasetTest, IsTheSameForAnyNumberOfThreads) {
  const Dataset one = load(many_rows(300), 1), three = load(many_rows(300), 3);
  ASSERT_EQ(one.samples.size(), 300U);
  for (size_t i = 0; i < one.samples.size(); ++i)
    EXPECT_EQ(one.samples[i].input_ids, three.samples[i].input_ids);
  EXPECT_EQ(one.target_tokens, 300);
}

TEST_F(DatasetTest, NamesTheFirstBrokenRowWhateverThreadFindsIt) {
  for (int round = 0; round < 5; ++round)
    expect_error([&] { load(many_rows(100, 20) + "{\n" + many_rows(100, 3), 3); }, ErrorKind::format,
                 {"row 21"});
}

TEST_F(DatasetTest, RowsWithoutTargetsAreRefusedOrDroppedAndCounted) {
  const std::string content = many_rows(3) + "{\"input_ids\":[1,2],\"labels\":[1,-100]}\n";
  expect_error([&] { load(content); }, ErrorKind::format,
               {"row 4 has no target token", "a.jsonl, line 4", "--skip-rows-without-targets"});
  options.skip_rows_without_targets = true;
  const Dataset kept = load(content);
  EXPECT_EQ(kept.samples.size(), 3U);
  EXPECT_EQ(kept.rows_dropped, 1);
}

TEST_F(DatasetTest, KeysThatTheFormatCannotUseAreRefused) {
  options.columns.completion_separator = ":";
  options.format = DataFormat::tokenized;
  expect_error([&] { load(many_rows(1)); }, ErrorKind::usage,
               {"completion_separator has no meaning", "tokenized"});
  options.columns = {};
  options.rows.system_prompt = "s";
  expect_error([&] { load(many_rows(1)); }, ErrorKind::usage, {"system_prompt has no meaning"});
}

TEST_F(DatasetTest, ASplitHoldsOutTheShareBySeedAndKeepsTheOrder) {
  const Dataset all = load(many_rows(10));
  const auto [kept, held_out] = split_dataset(all, 0.25, 42);
  EXPECT_EQ(kept.samples.size(), 7U);
  EXPECT_EQ(held_out.samples.size(), 3U);
  EXPECT_EQ(kept.tokens + held_out.tokens, all.tokens);
  std::set<int64_t> ids;
  int64_t last = -1;
  for (const Sample& s : kept.samples) {
    EXPECT_GT(s.row_id, last);
    ids.insert(last = s.row_id);
  }
  for (const Sample& s : held_out.samples) ids.insert(s.row_id);
  EXPECT_EQ(ids.size(), 10U);
  const auto [again, same] = split_dataset(all, 0.25, 42);
  EXPECT_EQ(same.samples[0].row_id, held_out.samples[0].row_id);
  expect_error([&] { split_dataset(load(many_rows(1)), 0.5, 1); }, ErrorKind::usage, {"at least two rows"});
}

TEST_F(DatasetTest, APreviewMarksTargets) {
  const Tokenizer tiny = tokenizer(false);
  Sample sample;
  sample.input_ids = {x, colon, space_a, end};
  sample.labels = {kNoTarget, kNoTarget, space_a, end};
  const std::vector<TextPiece> pieces = preview(sample, tiny);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].text, "x:");
  EXPECT_EQ(pieces[1].text, " a</s>");
  EXPECT_TRUE(pieces[1].target);
}

}  // namespace
}  // namespace lorikeet::testing
