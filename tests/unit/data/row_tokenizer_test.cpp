#include "data/row_tokenizer.h"

#include "unit/data/tiny_tokenizer.h"

namespace lorikeet::testing {
namespace {

using Ids = std::vector<int32_t>;
constexpr int32_t no = kNoTarget;
const RowPlace kPlace{"train.jsonl", 7, 3};

Example completion_of(const std::string& prompt, const std::string& completion) {
  Example e;
  e.kind = Example::Kind::completion;
  e.prompt = prompt;
  e.completion = completion;
  return e;
}

Example conversation_of(const char* messages, size_t prompt_messages = 0) {
  Example e;
  e.messages = Json::parse(messages);
  e.prompt_messages = prompt_messages;
  return e;
}

class RowTokenizerTest : public TinyTokenizer {
 protected:
  RowTokenizerTest() { options.vocab_size = 16; }
  TokenizedRow tokenize(const Example& e, bool add_bos = false) {
    const Tokenizer t = tokenizer(add_bos);
    return RowTokenizer(&t, &chat, options).tokenize(e, kPlace);
  }
  RowTokenizerOptions options;
  ChatTemplate chat{
      "{% for m in messages %}{{ m.role[0:1] + ':' + m.content + eos_token }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'a:' }}{% endif %}"};
};

TEST_F(RowTokenizerTest, TextEndsWithEosWhichIsATarget) {
  const TokenizedRow row = tokenize(completion_of("", "ab"));
  EXPECT_EQ(row.sample.input_ids, (Ids{a, b, end}));
  EXPECT_EQ(row.sample.labels, (Ids{no, b, end}));
  EXPECT_EQ(row.sample.row_id, 2);
}

TEST_F(RowTokenizerTest, BosStandsInFrontExactlyOnce) {
  EXPECT_EQ(tokenize(completion_of("", "ab"), true).sample.input_ids, (Ids{begin, a, b, end}));
  EXPECT_EQ(tokenize(completion_of("", "<s>ab"), true).sample.input_ids, (Ids{begin, a, b, end}));
  EXPECT_EQ(tokenize(completion_of("", "ab</s>"), false).sample.input_ids, (Ids{a, b, end}));
}

TEST_F(RowTokenizerTest, OnlyTheCompletionIsLearned) {
  const TokenizedRow row = tokenize(completion_of("x:", " ab"));
  EXPECT_EQ(row.sample.input_ids, (Ids{x, colon, space_a, b, end}));
  EXPECT_EQ(row.sample.labels, (Ids{no, no, space_a, b, end}));
  options.completion_only_loss = false;
  EXPECT_EQ(tokenize(completion_of("x:", " ab")).sample.labels, (Ids{no, colon, space_a, b, end}));
}

TEST_F(RowTokenizerTest, ATokenAcrossTheBorderIsSplitAsGenerationWillSeeIt) {
  // Encoded together, " a" is one token; generation is given the prompt's lone space.
  const TokenizedRow row = tokenize(completion_of("x: ", "ab"));
  EXPECT_EQ(row.sample.input_ids, (Ids{x, colon, space, a, b, end}));
  EXPECT_EQ(row.sample.labels, (Ids{no, no, no, a, b, end}));
  const Tokenizer t = tokenizer(false);
  const CompletionCase asked =
      RowTokenizer(&t, nullptr, options).completion_case(completion_of("x: ", "ab"), kPlace);
  EXPECT_EQ(asked.prompt, (Ids{x, colon, space}));
  EXPECT_EQ(asked.reference, "ab");
}

TEST_F(RowTokenizerTest, AssistantTurnsWithTheirEndAreLearned) {
  const TokenizedRow row =
      tokenize(conversation_of(R"([{"role":"user","content":"b"},{"role":"assistant","content":"x"}])"));
  EXPECT_EQ(row.sample.input_ids, (Ids{u, colon, b, end, a, colon, x, end}));
  EXPECT_EQ(row.sample.labels, (Ids{no, no, no, no, no, no, x, end}));
}

TEST_F(RowTokenizerTest, WithoutAssistantOnlyLossEveryTokenIsLearned) {
  options.assistant_only_loss = false;
  const TokenizedRow row =
      tokenize(conversation_of(R"([{"role":"user","content":"b"},{"role":"assistant","content":"x"}])"));
  EXPECT_EQ(row.sample.labels, (Ids{no, colon, b, end, a, colon, x, end}));
}

TEST_F(RowTokenizerTest, AssistantTurnsOfThePromptAreNotLearned) {
  const TokenizedRow row = tokenize(conversation_of(
      R"([{"role":"assistant","content":"b"},{"role":"user","content":"b"},{"role":"assistant","content":"x"}])",
      2));
  EXPECT_EQ(row.sample.labels, (Ids{no, no, no, no, no, no, no, no, no, no, x, end}));
}

TEST_F(RowTokenizerTest, TheSystemPromptStandsInFrontUnlessThereIsOne) {
  options.system_prompt = "t";
  EXPECT_EQ(tokenize(conversation_of(R"([{"role":"assistant","content":"x"}])")).sample.input_ids,
            (Ids{s, colon, t, end, a, colon, x, end}));
  EXPECT_EQ(
      tokenize(conversation_of(R"([{"role":"system","content":"n"},{"role":"assistant","content":"x"}])"))
          .sample.input_ids,
      (Ids{s, colon, n, end, a, colon, x, end}));
}

TEST_F(RowTokenizerTest, ReasonsForNoTargetAreNamed) {
  EXPECT_EQ(tokenize(conversation_of(R"([{"role":"user","content":"b"}])")).without_targets,
            "it has no assistant turn");
  EXPECT_EQ(tokenize(conversation_of(R"([{"role":"assistant","content":" "}])")).without_targets,
            "its only assistant turn is empty");
  EXPECT_EQ(tokenize(completion_of("x", "")).without_targets, "its completion is empty");
  EXPECT_EQ(tokenize(completion_of("", "")).without_targets, "its text is empty");
  options.max_length = 2;
  EXPECT_EQ(tokenize(completion_of("xx", "a")).without_targets, "all its targets lie beyond max_length 2");
  Example ids;
  ids.kind = Example::Kind::tokens;
  ids.input_ids = ids.labels = {a};
  EXPECT_EQ(tokenize(ids).without_targets, "it has fewer than two tokens");
  ids.input_ids = {a, b};
  ids.labels = {no, no};
  EXPECT_EQ(tokenize(ids).without_targets, "all its labels are ignored");
}

TEST_F(RowTokenizerTest, WhatIsCutIsCounted) {
  options.max_length = 3;
  const TokenizedRow row = tokenize(completion_of("", "abab"));
  EXPECT_EQ(row.sample.input_ids, (Ids{a, b, a}));
  EXPECT_EQ(row.cut, 2);
}

TEST_F(RowTokenizerTest, IdsOutsideTheModelAreRefused) {
  Example ids;
  ids.kind = Example::Kind::tokens;
  ids.input_ids = ids.labels = {a, 16};
  expect_error([&] { tokenize(ids); }, ErrorKind::format, {"row 3: token 1 is id 16", "below 16", "line 7"});
}

TEST_F(RowTokenizerTest, MissingTokenizersAndTemplatesAreNamed) {
  const RowTokenizer bare(nullptr, nullptr, options);
  expect_error([&] { bare.tokenize(completion_of("", "a"), kPlace); }, ErrorKind::usage, {"no tokenizer"});
  const Tokenizer tiny = tokenizer(false);
  const RowTokenizer untemplated(&tiny, nullptr, options);
  expect_error(
      [&] { untemplated.tokenize(conversation_of(R"([{"role":"assistant","content":"x"}])"), kPlace); },
      ErrorKind::usage, {"no chat template", "chat_template"});
}

TEST_F(RowTokenizerTest, TheQuestionOfAConversationEndsWhereTheAssistantSpeaksLast) {
  const Tokenizer tiny = tokenizer(false);
  const CompletionCase asked = RowTokenizer(&tiny, &chat, options)
                                   .completion_case(conversation_of(R"([{"role":"user","content":"b"},
      {"role":"assistant","content":"x"},{"role":"user","content":"t"}])"),
                                                    kPlace);
  EXPECT_EQ(asked.prompt, (Ids{u, colon, b, end, a, colon}));
  EXPECT_EQ(asked.reference, "x");
}

}  // namespace
}  // namespace lorikeet::testing
