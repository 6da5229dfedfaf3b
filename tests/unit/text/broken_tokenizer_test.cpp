// Files that are no tokenizers, or are kinds that are not covered, are refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "fixtures.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;

Error refusal(const std::string& json) {
  try {
    Tokenizer::from_json(json, "t.json");
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorKind::internal, "accepted");
}
Error refusal_of(const char* key, const char* value) {
  Json j = fixtures::tokenizer_json("byte_level");
  j[key] = Json::parse(value);
  return refusal(j.dump());
}

struct Bad {
  const char* name;
  const char* key;
  const char* value;
  ErrorKind kind;
  const char* said;
};
void PrintTo(const Bad& b, std::ostream* out) { *out << b.name; }

class BrokenTokenizer : public testing::TestWithParam<Bad> {};

TEST_P(BrokenTokenizer, IsRefusedNamingTheReason) {
  const Bad& b = GetParam();
  const Error e = refusal_of(b.key, b.value);
  EXPECT_EQ(e.kind(), b.kind) << e.what();
  EXPECT_THAT(std::string(e.what()), HasSubstr(b.said));
}

constexpr ErrorKind kFormat = ErrorKind::format, kUnsupported = ErrorKind::unsupported;
constexpr Bad kBad[] = {
    {"UnknownPreTokenizer", "pre_tokenizer", R"({"type": "UnicodeScripts"})", kUnsupported, "UnicodeScripts"},
    {"UnknownNormalizer", "normalizer", R"({"type": "Precompiled"})", kUnsupported, "Precompiled"},
    {"UnknownDecoder", "decoder", R"({"type": "WordPiece"})", kUnsupported, "WordPiece"},
    {"UnknownPostProcessor", "post_processor", R"({"type": "Other"})", kUnsupported, "Other"},
    {"UnknownInSequence", "pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "X"}]})",
     kUnsupported, "pretokenizers[0]"},
    {"ComponentWithoutType", "decoder", "{}", kFormat, "\"type\" must be a string"},
    {"ComponentOfWrongKind", "decoder", "[1]", kFormat, "expected an object"},
    {"BrokenRegex", "pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": false})", kFormat,
     "regular expression is broken"},
    {"NestedClass", "pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "[a[b]]"}, "behavior": "Isolated", "invert": false})",
     kUnsupported, "nests character classes"},
    {"UnknownBehavior", "pre_tokenizer",
     R"({"type": "Split", "pattern": {"String": " "}, "behavior": "Sometimes", "invert": false})",
     kUnsupported, "Sometimes"},
    {"NoModel", "model", "null", kFormat, "no \"model\""},
    {"Unigram", "model", R"({"type": "Unigram", "vocab": [["a", 0.1]]})", kUnsupported, "Unigram"},
    {"WordPiece", "model", R"({"type": "WordPiece", "vocab": {}})", kUnsupported, "WordPiece"},
    {"UnnamedUnigram", "model", R"({"vocab": [["a", 0.1]]})", kUnsupported, "Unigram"},
    {"Dropout", "model", R"({"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []})", kUnsupported,
     "dropout"},
    {"WordSuffix", "model", R"({"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {}, "merges": []})",
     kUnsupported, "end_of_word_suffix"},
    {"NoVocabulary", "model", R"({"type": "BPE", "merges": []})", kFormat, "vocabulary must be an object"},
    {"NegativeId", "model", R"({"type": "BPE", "vocab": {"a": -1}, "merges": []})", kFormat, "token id -1"},
    {"HugeId", "model", R"({"type": "BPE", "vocab": {"a": 4000000000}, "merges": []})", kFormat,
     "4000000000"},
    {"IdOfWrongKind", "model", R"({"type": "BPE", "vocab": {"a": "0"}, "merges": []})", kFormat,
     "not a whole number"},
    {"SharedId", "model", R"({"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []})", kFormat,
     "belongs to"},
    {"MergeOfUnknownTokens", "model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]})", kFormat,
     "not in the vocabulary"},
    {"MergeWithoutResult", "model", R"({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]})",
     kFormat, "'ab'"},
    {"MergeOfThree", "model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a a a"]})", kFormat,
     "one space"},
    {"MergeOfWrongKind", "model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]})", kFormat,
     "pair of strings"},
    {"MergesOfWrongKind", "model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": {}})", kFormat,
     "merges must be"},
    {"AddedTokenWithoutId", "added_tokens", R"([{"content": "x"}])", kFormat, "needs an id"},
    {"AddedTokenWithHugeId", "added_tokens", R"([{"id": 99999999, "content": "x"}])", kFormat, "needs an id"},
    {"AddedTokensOfWrongKind", "added_tokens", "5", kFormat, "must be an array"},
    {"AddedTokenOnATakenId", "added_tokens", R"([{"id": 5, "content": "quite new"}])", kFormat, "token id 5"},
    {"TemplateWithoutText", "post_processor",
     R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})", kFormat, "holds no text"},
    {"TemplateWithUnknownToken", "post_processor",
     R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "q", "type_id": 0}}], "special_tokens": {}})",
     kFormat, "\"q\""},
    {"TemplateWithIdOutsideTheVocabulary", "post_processor",
     R"({"type": "RobertaProcessing", "cls": ["a", 0], "sep": ["b", 999999]})", kFormat, "999999"},
    {"StripOfTwoCharacters", "decoder", R"({"type": "Strip", "content": "ab", "start": 1, "stop": 0})",
     kFormat, "one character"},
};

INSTANTIATE_TEST_SUITE_P(EveryKind, BrokenTokenizer, testing::ValuesIn(kBad),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(BrokenTokenizerFile, IsRefusedWhenItIsNotJson) {
  EXPECT_EQ(refusal(std::string("{\"model\": ")).kind(), ErrorKind::format);
  EXPECT_EQ(refusal(std::string("")).kind(), ErrorKind::format);
  EXPECT_EQ(refusal(std::string("\"text\"")).kind(), ErrorKind::format);
  EXPECT_EQ(refusal(std::string("{\"model\": \"\xff\"}")).kind(), ErrorKind::format);
}

TEST(BrokenTokenizerFile, NamesTheFileAndThePlace) {
  EXPECT_EQ(refusal_of("decoder", R"({"type": "CTC"})").where(), "t.json, decoder");
}

TEST(BrokenTokenizerFile, RefusesPartsNestedWithoutEnd) {
  std::string json = R"({"type": "ByteLevel"})";
  for (int i = 0; i < 40; ++i) json = R"({"type": "Sequence", "pretokenizers": [)" + json + "]}";
  EXPECT_THAT(std::string(refusal_of("pre_tokenizer", json.c_str()).what()), HasSubstr("nested"));
}

TEST(HostileRegex, EndsWithAnErrorInsteadOfRunningForEver) {
  const Tokenizer t = fixtures::tokenizer(
      "byte_level", Json{{"pre_tokenizer", Json::parse(R"({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?:a|aa)+[0-9]"}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false}]})")}});
  EXPECT_THROW(t.encode(std::string(100, 'a') + "c", false), Error);
}

}  // namespace
}  // namespace lorikeet
