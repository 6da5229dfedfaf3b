#include "io/json.h"

#include <chrono>

#include "temp_folder.h"

namespace lorikeet {
namespace {

using testing::expect_error;
class JsonFileTest : public testing::TempFolder {};

TEST(JsonParser, KeepsTheOrderOfKeysAndTheTypesOfNumbers) {
  const Json j = parse_json(R"({"b": 1, "a": [2.5, -3, true, null, "x\u00e9"], "c": {}})", "x");
  EXPECT_EQ(to_text(j), R"({"b":1,"a":[2.5,-3,true,null,"xé"],"c":{}})");
}

TEST(JsonParser, NamesSourceLineAndColumnOfASyntaxError) {
  expect_error([] { parse_json("{\n  \"a\": 1,\n  \"b\" 2\n}", "config.json"); }, ErrorKind::format,
               {"not valid JSON", "config.json, line 3, column 7"});
}

TEST(JsonParser, RefusesTextAfterTheDocumentAndAnEmptyText) {
  expect_error([] { parse_json("{} {}", "x"); }, ErrorKind::format, {"not valid JSON"});
  expect_error([] { parse_json("", "x"); }, ErrorKind::format, {"not valid JSON", "line 1, column 1"});
}

TEST(JsonParser, RefusesBadUtf8WithoutRepeatingItsBytes) {
  const std::string text = testing::error_of([] { parse_json("{\"a\": \"\xff\xfe\"}", "x"); });
  EXPECT_NE(text.find("not valid JSON"), std::string::npos);
  EXPECT_EQ(text.find('\xff'), std::string::npos);
}

TEST(JsonParser, RefusesDepthAndSizeBeyondTheLimits) {
  const std::string deep = std::string(200'000, '[');
  expect_error([&] { parse_json(deep, "x"); }, ErrorKind::format, {"nested deeper than 128"});
  expect_error([&] { parse_json("[1,2,3]", "x", {.max_bytes = 3}); }, ErrorKind::format,
               {"7 bytes", "at most 3"});
}

TEST(JsonParser, TakesTheLastOfEqualKeysUnlessTheyAreRefused) {
  EXPECT_EQ(to_text(parse_json(R"({"a":1,"b":2,"a":[3]})", "x")), R"({"a":[3],"b":2})");
  expect_error([] { parse_json(R"({"a":1,"a":2})", "x", {.refuse_duplicate_keys = true}); },
               ErrorKind::format, {"\"a\" occurs twice"});
}

TEST(JsonParser, IsLinearInTheNumberOfKeys) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += "\"" + std::to_string(i) + "\":0,";
  text.back() = '}';
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text, "x").size(), 300'000u);
  // Quadratic insertion would take minutes; linear takes a fraction of a second.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(JsonParser, RefusesANumberBeyondDoubles) {
  expect_error([] { parse_json("[1e999]", "x"); }, ErrorKind::format, {"1e999", "line 1"});
}

TEST(JsonAccess, ChecksTypesAndNamesTheField) {
  EXPECT_EQ(json_int(parse_json("2.0", "x"), "f"), 2);
  EXPECT_EQ(json_int(parse_json("-7", "x"), "f"), -7);
  expect_error([] { json_int(parse_json("2.5", "x"), "c.json, r"); }, ErrorKind::format,
               {"whole number", "c.json, r"});
  expect_error([] { json_int(parse_json("18446744073709551615", "x"), "f"); }, ErrorKind::format,
               {"whole number"});
  expect_error([] { json_bool(parse_json("1", "x"), "f"); }, ErrorKind::format, {"true or false", "number"});
  expect_error([] { json_string(parse_json("1", "x"), "f"); }, ErrorKind::format, {"a string is needed"});
  expect_error([] { json_number(parse_json("\"1\"", "x"), "f"); }, ErrorKind::format, {"a number is needed"});
}

TEST(JsonWriter, RefusesTextThatIsNotUtf8) {
  expect_error([] { to_text(Json("\xff")); }, ErrorKind::format, {"not valid UTF-8"});
}

TEST_F(JsonFileTest, NamesTheFileInErrors) {
  write("a.json", "{\"a\":}");
  expect_error([&] { read_json_file(path("a.json")); }, ErrorKind::format,
               {path("a.json") + ", line 1, column 6"});
  expect_error([&] { read_json_file(folder_); }, ErrorKind::usage, {"is a folder"});
}

}  // namespace
}  // namespace lorikeet
