// tokenizer.model files against the ids and the text of the official library.
#include "text/sentencepiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "fixtures.h"
#include "io/json.h"
#include "unit/io/temp_folder.h"

namespace lorikeet {
namespace {

using testing::expect_error;

std::string model_bytes(const std::string& name) {
  return read_text_file(std::string(LORIKEET_FIXTURES) + "/text/sentencepiece/" + name + ".model");
}

/// A field of a message: a number below 128, or bytes shorter than that.
std::string field(int number, int value) {
  return std::string{static_cast<char>(number << 3), static_cast<char>(value)};
}
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

class SentencePieceGoldens : public ::testing::TestWithParam<std::string> {
 protected:
  Tokenizer tokenizer_ = sentencepiece_tokenizer(model_bytes(GetParam()), GetParam());
  Json samples() const {
    for (const Json& model : fixtures::json("sentencepiece/goldens.json"))
      if (model["name"] == GetParam()) return model["samples"];
    return Json::array();
  }
};

TEST_P(SentencePieceGoldens, IdsAndTextEqualTheOfficialLibrarys) {
  EXPECT_GT(samples().size(), 80u);
  for (const Json& s : samples()) {
    const auto text = s["text"].get<std::string>();
    const auto ids = s["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer_.encode(text, false), ids) << text;
    if (s["decoded"].is_null()) continue;  // the library spells unknown tokens in its own way
    EXPECT_EQ(tokenizer_.decode(ids, false), s["decoded"].get<std::string>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryModel, SentencePieceGoldens, ::testing::Values("llama", "gemma", "unknowns"));

class SentencePieceFolder : public testing::TempFolder {
 protected:
  Tokenizer tokenizer(const std::string& config = "") {
    write("tokenizer.model", model_bytes("llama"));
    if (!config.empty()) write("tokenizer_config.json", config);
    return Tokenizer::from_folder(folder_);
  }
};

TEST_F(SentencePieceFolder, AddsBosUnlessItsConfigurationSaysOtherwise) {
  const Tokenizer plain = tokenizer();
  EXPECT_TRUE(has_tokenizer(folder_));
  EXPECT_EQ(plain.encode("a", true).front(), 1);
  EXPECT_FALSE(plain.adds_eos());
  const Tokenizer other = tokenizer(R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(other.encode("a", true).back(), 2);
  EXPECT_FALSE(other.adds_bos());
}

TEST_F(SentencePieceFolder, FindsSpecialTokensAndSpacesOnlyTheFirstStretchUnlessLegacy) {
  const Tokenizer first = tokenizer();
  const std::vector<int32_t> word = first.encode("the", false);
  std::vector<int32_t> ids = first.encode("the</s>the", false);
  EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(word.size())), word);
  EXPECT_EQ(ids[word.size()], 2);
  EXPECT_EQ(first.decode(ids, false), "the</s>the");
  const Tokenizer legacy = tokenizer(R"({"legacy": true})");
  std::vector<int32_t> both = word;
  both.push_back(2);
  both.insert(both.end(), word.begin(), word.end());
  EXPECT_EQ(legacy.encode("the</s>the", false), both);
  EXPECT_NE(ids, both);
}

TEST_F(SentencePieceFolder, TakesTokensThatWereAddedLater) {
  write("added_tokens.json", R"({"<pad>": 560, "<tool>": 561})");
  write("special_tokens_map.json", R"({"pad_token": "<pad>"})");
  const Tokenizer t = tokenizer();
  EXPECT_EQ(t.pad_id(), 560);
  EXPECT_TRUE(t.is_special(560));
  EXPECT_FALSE(t.is_special(561));
  EXPECT_EQ(t.vocab_size(), 562);
  EXPECT_EQ(t.encode("<tool>", false), std::vector<int32_t>{561});
}

TEST_F(SentencePieceFolder, IsReadOnlyWithoutATokenizerJson) {
  write("tokenizer.json", "{}");
  expect_error([&] { tokenizer(); }, ErrorKind::format, {"there is no \"model\" object"});
}

TEST_F(SentencePieceFolder, WithATekkenFileIsRefusedByName) {
  write("tekken.json", "{}");
  expect_error([&] { Tokenizer::from_folder(folder_); }, ErrorKind::unsupported, {"tekken"});
}

void expect_refused(const std::string& model, ErrorKind kind, std::initializer_list<std::string> parts) {
  expect_error([&] { sentencepiece_tokenizer(model, "tokenizer.model"); }, kind, parts);
}

TEST(SentencePieceModel, OfAnotherTypeOrRuleIsRefusedByName) {
  expect_refused(model_bytes("unigram"), ErrorKind::unsupported, {"'Unigram'", "tokenizer.model"});
  const std::string llama = model_bytes("llama");  // what follows a message overrules what it said
  expect_refused(llama + field(2, field(3, 4)), ErrorKind::unsupported, {"'Char'"});
  expect_refused(llama + field(3, field(1, "nmt_nfkc") + field(2, "x")), ErrorKind::unsupported,
                 {"'nmt_nfkc'"});
  expect_refused(llama + field(3, field(4, 1)), ErrorKind::unsupported, {"remove_extra_whitespaces"});
  expect_refused(llama + field(3, field(5, 0)), ErrorKind::unsupported, {"escape_whitespaces"});
  expect_refused(llama + field(2, std::string("\xc0\x01\x01")), ErrorKind::unsupported,
                 {"whitespace_as_suffix"});
  expect_refused(llama + field(1, field(1, "x") + field(3, 5)), ErrorKind::unsupported, {"unused piece 'x'"});
  expect_refused("IQ== 0\nIg== 1\n", ErrorKind::unsupported, {"tiktoken"});
}

TEST(SentencePieceModel, ThatIsDamagedIsRefusedWithThePlace) {
  const std::string llama = model_bytes("llama");
  expect_refused(llama.substr(0, 5), ErrorKind::format, {"field 1", "the message has"});
  expect_refused(llama + field(1, field(3, 9)), ErrorKind::format, {"piece 560", "unknown type 9"});
  expect_refused(llama + field(1, 3), ErrorKind::format, {"field 1 is stored as kind 0, not 2"});
  expect_refused(llama + std::string(1, '\x0f'), ErrorKind::format, {"stored as kind 7"});
  expect_refused(llama + std::string(11, '\xff'), ErrorKind::format, {"64 bits"});
  expect_refused(llama + std::string(1, '\x80'), ErrorKind::format, {"ends inside a number"});
  expect_refused(llama + field(0, 1), ErrorKind::format, {"field 0 is impossible"});
  expect_refused(field(1, field(1, "a")) + field(2, field(3, 2)) + field(3, field(4, 0)), ErrorKind::format,
                 {"no unknown piece"});
}

}  // namespace
}  // namespace lorikeet
