#include "data/row_source.h"

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

class DataFile : public TempFolder {
 protected:
  /// Every row as text, with its line.
  std::string rows_of(const std::string& name, const std::string& content) const {
    const RowSource source({write(name, content)});
    std::string text;
    for (size_t i = 0; i < source.size(); ++i)
      text += fmt::format("{}:{} ", source.place(i).line, to_text(source.row(i)));
    return text;
  }
  void expect_refused(const std::string& name, const std::string& content,
                      std::initializer_list<std::string> parts) const {
    expect_error([&] { rows_of(name, content); }, ErrorKind::format, parts);
  }
};

TEST_F(DataFile, JsonLinesMayHaveAByteOrderMarkBlankLinesAndCarriageReturns) {
  EXPECT_EQ(rows_of("a.jsonl", "\xEF\xBB\xBF{\"a\":1}\r\n\r\n  \n{\"a\":2}\r\n{\"a\":3}"),
            "1:{\"a\":1} 4:{\"a\":2} 5:{\"a\":3} ");
}

TEST_F(DataFile, AnArrayMayBeSpreadOverLinesAndHoldBracketsInStrings) {
  EXPECT_EQ(rows_of("a.json", "\n[\n {\"a\": \"]},{\\\"\"},\n\n {\"a\": [1, {\"b\": 2}]}\n]\n"),
            "3:{\"a\":\"]},{\\\"\"} 5:{\"a\":[1,{\"b\":2}]} ");
}

TEST_F(DataFile, CsvFieldsMayHoldCommasQuotesAndLineBreaks) {
  EXPECT_EQ(rows_of("a.csv", "prompt,completion\r\n\"a, \"\"b\"\"\nc\",d\r\n\r\ne,\r\n"),
            "2:{\"prompt\":\"a, \\\"b\\\"\\nc\",\"completion\":\"d\"} "
            "5:{\"prompt\":\"e\",\"completion\":\"\"} ");
}

TEST_F(DataFile, RowsOfSeveralFilesFollowEachOther) {
  const RowSource source({write("a.jsonl", "{\"a\":1}\n"), write("b.jsonl", "\n{\"a\":2}\n")});
  ASSERT_EQ(source.size(), 2U);
  EXPECT_EQ(source.place(1).text("a"), path("b.jsonl") + ", line 2, a");
  EXPECT_EQ(source.place(1).row, 2);
}

TEST_F(DataFile, BrokenRowsAreRefusedByFileAndLine) {
  expect_refused("a.jsonl", "{\"a\":1}\n{\"a\":\n", {"row 2", "not valid JSON", "a.jsonl, line 2"});
  expect_refused("a.jsonl", "{\"a\":1}\n[1]\n", {"row 2", "array", "an object is needed"});
  expect_refused("a.jsonl", "{\"a\":\"\xFF\"}\n", {"row 1", "not valid UTF-8", "line 1"});
  expect_refused("a.json", "[{\"a\":1},\n {\"a\":\n", {"does not end", "line 2"});
  expect_refused("a.json", "[{\"a\":1},]", {"empty element"});
  expect_refused("a.json", "[{\"a\":1}}", {"closed by '}'"});
  expect_refused("a.json", "[{\"a\":1}]\n{\"a\":1}", {"text follows", "line 2"});
  expect_refused("a.json", "[\n{\"a\":\n !}]", {"row 1", "line 3, column 2"});
}

TEST_F(DataFile, BrokenCsvIsRefusedByLine) {
  expect_refused("a.csv", "a,a\n1,2\n", {"column \"a\" twice", "line 1"});
  expect_refused("a.csv", "a,b\n1\n", {"row 1 has 1 fields, the header has 2", "line 2"});
  expect_refused("a.csv", "a\n\"x\n", {"no closing quote", "line 2"});
  expect_refused("a.csv", "a\nx\"y\"\n", {"does not begin with one"});
  expect_refused("a.csv", "a\n\"x\"y\n", {"after its closing quote"});
}

TEST_F(DataFile, FilesWithoutRowsAreRefused) {
  expect_refused("a.jsonl", "\n \n", {"holds no rows"});
  expect_refused("a.json", "[ ]", {"holds no rows"});
  expect_refused("a.csv", "a,b\n", {"holds no rows"});
}

TEST_F(DataFile, DeepNestingIsRefusedInsteadOfOverflowingTheStack) {
  const std::string deep(200'000, '[');
  expect_refused("a.jsonl", "{\"a\":" + deep + "}", {"nested deeper"});
}

}  // namespace
}  // namespace lorikeet::testing
