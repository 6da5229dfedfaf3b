#include "data/formats/format.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

const RowPlace kPlace{"train.jsonl", 7, 3};

Example parse(const DatasetFormat& format, const char* row, const DataColumns& columns = {}) {
  return format.parse(Json::parse(row), columns, kPlace);
}
std::string messages(const DatasetFormat& format, const char* row) {
  return to_text(parse(format, row).messages);
}

void expect_refused(const DatasetFormat& format, const char* row, std::initializer_list<std::string> parts,
                    ErrorKind kind = ErrorKind::format) {
  expect_error([&] { parse(format, row); }, kind, parts);
}

TEST(MessagesFormat, KeepsMessagesAndTools) {
  const Example e =
      parse(kMessagesFormat, R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[
      {"type":"text","text":"b"},{"type":"text","text":"c"}]}],"tools":"[{\"name\":\"f\"}]"})");
  EXPECT_EQ(to_text(e.messages), R"([{"role":"user","content":"a"},{"role":"assistant","content":"bc"}])");
  EXPECT_EQ(to_text(e.tools), R"([{"name":"f"}])");
  EXPECT_EQ(e.prompt_messages, 0U);
}

TEST(MessagesFormat, RefusesByRowLineAndKey) {
  expect_refused(kMessagesFormat, R"({"text":"a"})",
                 {"row 3 has no \"messages\"", "train.jsonl, line 7", "\"text\""});
  expect_refused(kMessagesFormat, R"({"messages":[]})", {"messages is empty"});
  expect_refused(kMessagesFormat, R"({"messages":[{"role":"bot","content":"a"}]})",
                 {"role \"bot\" is not known", "messages[0].role", "assistant"});
  expect_refused(kMessagesFormat, R"({"messages":[{"role":"user"}]})", {"messages[0] has no content"});
  expect_refused(kMessagesFormat, R"({"messages":[{"role":"user","content":5}]})",
                 {"messages[0].content is number"});
  expect_refused(kMessagesFormat, R"({"messages":[{"from":"human","value":"a"}]})",
                 {"no \"role\"", "sharegpt"});
  expect_refused(kMessagesFormat, R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})",
                 {"not text"}, ErrorKind::unsupported);
}

TEST(SharegptFormat, TurnsSpeakersIntoRoles) {
  EXPECT_EQ(
      messages(kSharegptFormat, R"({"system":"s","conversations":[{"from":"human","value":"a"},
      {"from":"gpt","value":"b"},{"from":"observation","value":"c"},{"from":"function_call","value":"d"}]})"),
      R"([{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
      R"({"role":"tool","content":"c"},{"role":"assistant","content":"d"}])");
  expect_refused(kSharegptFormat, R"({"conversations":[{"from":"alien","value":"a"}]})",
                 {"speaker \"alien\"", "conversations[0].from"});
}

TEST(AlpacaFormat, JoinsInstructionAndInput) {
  EXPECT_EQ(messages(kAlpacaFormat, R"({"instruction":"i","input":"j","output":"o","history":[["q","a"]]})"),
            R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
            R"({"role":"user","content":"i\nj"},{"role":"assistant","content":"o"}])");
  EXPECT_EQ(
      messages(kAlpacaFormat, R"({"instruction":"i","input":"","output":"o","system":"s"})"),
      R"([{"role":"system","content":"s"},{"role":"user","content":"i"},{"role":"assistant","content":"o"}])");
}

TEST(PromptCompletionFormat, TakesStringsOrMessages) {
  const Example text =
      parse(kPromptCompletionFormat, R"({"q":"a","r":"b"})",
            {.prompt = "q", .completion = "r", .text = {}, .messages = {}, .completion_separator = {}});
  EXPECT_EQ(text.prompt, "a");
  EXPECT_EQ(text.completion, "b");
  const Example chat = parse(kPromptCompletionFormat, R"({"prompt":[{"role":"user","content":"a"}],
      "completion":[{"role":"assistant","content":"b"}]})");
  EXPECT_EQ(chat.prompt_messages, 1U);
  EXPECT_EQ(chat.messages.size(), 2U);
  expect_refused(kPromptCompletionFormat, R"({"prompt":[{"role":"user","content":"a"}],"completion":"b"})",
                 {"one of prompt and completion is a list of messages"});
}

TEST(TextFormat, SplitsAtTheLastSeparatorWhichStaysInThePrompt) {
  const DataColumns columns{
      .prompt = {}, .completion = {}, .text = {}, .messages = {}, .completion_separator = "\nA: "};
  const Example e = parse(kTextFormat, R"({"text":"Q: x\nA: y\nA: z"})", columns);
  EXPECT_EQ(e.prompt, "Q: x\nA: y\nA: ");
  EXPECT_EQ(e.completion, "z");
  expect_error([&] { parse(kTextFormat, R"({"text":"no"})", columns); }, ErrorKind::format,
               {"row 3", R"("\nA: ")"});
}

TEST(TokenizedFormat, TakesLabelsOrLearnsEveryToken) {
  EXPECT_EQ(parse(kTokenizedFormat, R"({"input_ids":[1,2]})").labels, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(parse(kTokenizedFormat, R"({"input_ids":[1,2],"labels":[-100,2]})").labels,
            (std::vector<int32_t>{kNoTarget, 2}));
  expect_refused(kTokenizedFormat, R"({"input_ids":[1,2],"labels":[1]})", {"1 labels for 2 input_ids"});
  expect_refused(kTokenizedFormat, R"({"input_ids":[1,-1]})", {"input_ids[1] is -1"});
  expect_refused(kTokenizedFormat, R"({"input_ids":[1,9999999999]})", {"9999999999"});
  expect_refused(kTokenizedFormat, R"({"input_ids":[1.5]})", {"whole number"});
}

class Detection : public TempFolder {
 protected:
  std::string detected(const std::string& content, const DataColumns& columns = {}) const {
    return detect_format(RowSource({write("a.jsonl", content)}), columns).name;
  }
};

TEST_F(Detection, FindsEachFormatInItsRows) {
  EXPECT_EQ(detected(R"({"messages":[{"role":"user","content":"a"}]})"), "messages");
  EXPECT_EQ(detected(R"({"prompt":"a","completion":"b"})"), "prompt_completion");
  EXPECT_EQ(detected(R"({"text":"a","id":1})"), "text");
  EXPECT_EQ(detected(R"({"instruction":"a","output":"b"})"), "alpaca");
  EXPECT_EQ(detected(R"({"conversations":[{"from":"human","value":"a"}]})"), "sharegpt");
  EXPECT_EQ(detected(R"({"input_ids":[1,2]})"), "tokenized");
}

TEST_F(Detection, NamesTheColumnsThatFitNoFormat) {
  expect_error([&] { detected("{\"question\":\"a\",\"answer\":\"b\"}"); }, ErrorKind::format,
               {"no data format fits row 1", "\"question\", \"answer\"", "--prompt-column"});
  expect_error([&] { detected("{\"text\":\"a\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}"); },
               ErrorKind::format, {"fits row 2"});
}

TEST_F(Detection, IsDecidedByNamedColumns) {
  EXPECT_EQ(
      detected(R"({"q":"a","r":"b"})",
               {.prompt = "q", .completion = "r", .text = {}, .messages = {}, .completion_separator = {}}),
      "prompt_completion");
}

}  // namespace
}  // namespace lorikeet::testing
