#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "fixtures.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;

std::vector<int32_t> all_tokens(const Tokenizer& t) {
  std::vector<int32_t> out;
  for (int32_t id = 0; id < t.vocab_size(); ++id) {
    if (t.id_to_token(id)) out.push_back(id);
  }
  return out;
}

TEST(TokenizerOffsets, CoverTheTextOfAByteLevelTokenizerWithoutGaps) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  const std::string text = "Zürich <|im_start|>user 漢字 😀\n\n x";
  size_t at = 0;
  for (const TokenOffsets& o : t.encode_with_offsets(text, false).offsets) {
    EXPECT_EQ(o.begin, at);
    at = o.end;
  }
  EXPECT_EQ(at, text.size());
}

TEST(TokenizerOffsets, PointIntoTheTextBeforeNormalization) {
  const Tokenizer t = fixtures::tokenizer("byte_fallback");  // puts U+2581 in front and for each space
  const std::string text = "ab <s>cd";
  const Encoding e = t.encode_with_offsets(text, false);
  for (size_t i = 0; i < e.ids.size(); ++i) {
    if (t.id_to_token(e.ids[i]) == "<s>") {
      EXPECT_EQ(text.substr(e.offsets[i].begin, e.offsets[i].end - e.offsets[i].begin), "<s>");
    }
  }
  EXPECT_EQ(e.offsets.back().end, text.size());
}

TEST(TokenizerOfBrokenUtf8, TreatsEachBadPartAsTheReplacementCharacter) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  const std::string broken = "a\xff\xc3z\xe6\xbc", repaired = "a\ufffd\ufffdz\ufffd";
  EXPECT_EQ(t.encode(broken, false), t.encode(repaired, false));
  const Encoding e = t.encode_with_offsets(broken, false);
  EXPECT_EQ(e.offsets.front(), (TokenOffsets{0, 1}));
  EXPECT_EQ(e.offsets.back().end, broken.size());
}

// The space put before a section has no token here, so the next token takes its place: none of the text.
TEST(TokenizerOfBrokenUtf8, GivesPlacesWithinTheTextThatItWasGiven) {
  const Tokenizer t =
      Tokenizer::from_json(R"({"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel"},
    "added_tokens": [{"id": 3, "content": "<x>", "lstrip": true, "rstrip": true}],
    "model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})",
                           "small");
  const std::string text = "\xff<x>a";
  const Encoding e = t.encode_with_offsets(text, true);
  for (const TokenOffsets& o : e.offsets) {
    EXPECT_LE(o.begin, o.end);
    EXPECT_LE(o.end, text.size());
  }
  EXPECT_EQ(e.offsets, (std::vector<TokenOffsets>{{1, 4}, {4, 4}}));
}

TEST(TokenizerDecode, LeavesOutIdsThatAreNotInTheVocabulary) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  std::vector<int32_t> ids = t.encode("parrot", false);
  ids.push_back(1'000'000);
  ids.push_back(-5);
  EXPECT_EQ(t.decode(ids, false), "parrot");
  EXPECT_FALSE(t.id_to_token(-1));
}

TEST(TokenizerVocabulary, FindsEveryTokenByItsText) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  for (const int32_t id : all_tokens(t)) EXPECT_EQ(t.token_to_id(*t.id_to_token(id)), id);
  EXPECT_FALSE(t.token_to_id("no such token"));
  EXPECT_TRUE(t.is_special(*t.token_to_id("<|im_end|>")));
  EXPECT_FALSE(t.is_special(*t.token_to_id("<tool>")));
}

TEST(TokenizerEncode, TakesTimeLinearInALineWithoutBreaks) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  const auto seconds = [&](size_t n) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(t.encode(std::string(n, 'a'), false).empty());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds(1000);
  // Eight times the text; a quadratic encoder would need 64 times as long. The offset forgives a busy
  // machine.
  EXPECT_LT(seconds(1'600'000), 24 * seconds(200'000) + 1.0);
}

// Long pieces are cut where no token reaches over; parts and whole must agree.
TEST(TokenizerEncode, OfALongPieceEqualsThatOfTheOfficialLibrary) {
  const Tokenizer t = fixtures::tokenizer("byte_fallback");  // no pre-tokenizer: the whole text is one piece
  for (const Json& variant : fixtures::json("byte_fallback_goldens.json")) {
    if (variant["name"] != "llama") continue;
    std::string text;
    std::vector<int32_t> expected;
    for (const Json& s : variant["samples"]) {
      const auto one = s["text"].get<std::string>();
      if (one.empty() || one.find('<') != std::string::npos) continue;
      text += "<s>" + one;
      expected.push_back(*t.token_to_id("<s>"));
      const auto ids = s["ids"].get<std::vector<int32_t>>();
      expected.insert(expected.end(), ids.begin(), ids.end());
    }
    EXPECT_EQ(t.encode(text, false), expected);
  }
}

TEST(StreamDecoder, HoldsBackTheBytesOfACharacterUntilItIsComplete) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  const std::vector<int32_t> ids = t.encode("\U0001F99C", false);  // a parrot, unknown to the merges
  ASSERT_EQ(ids.size(), 4u);
  StreamDecoder stream(t, false);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.push(ids[2]), "");
  EXPECT_EQ(stream.push(ids[3]), "\U0001F99C");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoder, ShowsAnUnfinishedCharacterAtTheEnd) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  const std::vector<int32_t> ids = t.encode("\U0001F99C", false);
  StreamDecoder stream(t, false);
  EXPECT_EQ(stream.push(ids[0]) + stream.push(ids[1]) + stream.finish(), "\ufffd");
}

TEST(StreamDecoder, SkipsSpecialTokensWhenAsked) {
  const Tokenizer t = fixtures::tokenizer("byte_level");
  StreamDecoder stream(t, true);
  std::string text;
  for (const int32_t id : t.encode("a<|im_end|>b", false)) text += stream.push(id);
  EXPECT_EQ(text + stream.finish(), "ab");
}

class TokenizerFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::path(testing::TempDir()) /
        ("tokenizer_folder_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(folder_);
    std::filesystem::copy_file(fixtures::path("byte_level.json"), folder_ / "tokenizer.json",
                               std::filesystem::copy_options::overwrite_existing);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  std::filesystem::path folder_;
};

TEST_F(TokenizerFolder, NeedsNothingButTokenizerJson) {
  const Tokenizer t = Tokenizer::from_folder(folder_);
  EXPECT_EQ(t.decode(t.encode("Hello", false), false), "Hello");
  EXPECT_FALSE(t.bos_id());
  EXPECT_FALSE(t.adds_bos());
  EXPECT_EQ(t.eos_token(), "");
}

TEST_F(TokenizerFolder, TakesSpecialTokensAndTemplateFromTokenizerConfig) {
  write("tokenizer_config.json",
        R"({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "add_bos_token": true,
            "chat_template": [{"name": "other", "template": "o"}, {"name": "default", "template": "d"}]})");
  const Tokenizer t = Tokenizer::from_folder(folder_);
  EXPECT_EQ(t.bos_id(), t.token_to_id("<|im_start|>"));
  EXPECT_EQ(t.eos_token(), "<|im_end|>");
  EXPECT_TRUE(t.adds_bos());
  EXPECT_EQ(t.encode("", true), std::vector<int32_t>{*t.bos_id()});
  EXPECT_EQ(t.chat_template(), "d");
}

TEST_F(TokenizerFolder, PrefersChatTemplateJinja) {
  write("tokenizer_config.json", R"({"chat_template": "from config"})");
  write("chat_template.jinja", "from file");
  EXPECT_EQ(Tokenizer::from_folder(folder_).chat_template(), "from file");
}

TEST_F(TokenizerFolder, FallsBackToSpecialTokensMapAndConfig) {
  write("special_tokens_map.json", R"({"bos_token": "<|im_start|>"})");
  write("config.json", R"({"eos_token_id": [0, 1], "pad_token_id": null})");
  const Tokenizer t = Tokenizer::from_folder(folder_);
  EXPECT_EQ(t.bos_token(), "<|im_start|>");
  EXPECT_EQ(t.eos_id(), 0);
  EXPECT_FALSE(t.pad_id());
}

TEST_F(TokenizerFolder, RefusesABrokenConfig) {
  write("tokenizer_config.json", "[1]");
  EXPECT_THROW(Tokenizer::from_folder(folder_), Error);
}

TEST_F(TokenizerFolder, NamesAMissingFile) {
  std::filesystem::remove(folder_ / "tokenizer.json");
  try {
    Tokenizer::from_folder(folder_);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("tokenizer.json"));
  }
}

}  // namespace
}  // namespace lorikeet
