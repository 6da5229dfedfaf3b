#include "export/hf_tokenizer.h"

#include <gtest/gtest.h>

#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

/// All bytes, a few merges, one control and one user-defined token, one unused id.
GgufTokenizerSource byte_level_source(const std::string& pre) {
  GgufTokenizerSource s;
  s.file = "tiny.gguf";
  s.model = "gpt2";
  s.pre = pre;
  s.tokens = {"<|end|>", "<tool>"};
  s.token_types = {3, 4};
  const auto add = [&](const std::string& token, int32_t type = 1) {
    s.tokens.push_back(token);
    s.token_types.push_back(type);
  };
  // GPT-2's byte alphabet: printable Latin-1 stands for itself, the rest for U+0100 and up.
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool self = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    const int c = self ? b : next++;
    std::string utf8;
    if (c < 128)
      utf8 = std::string(1, static_cast<char>(c));
    else
      utf8 = {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 63))};
    add(utf8);
  }
  for (const char* merge : {"h e", "l l", "he ll", "hell o", "\xC4\xA0 w", "1 2", "12 3"}) {
    s.merges.push_back(merge);
    std::string joined = merge;
    joined.erase(joined.find(' '), 1);
    add(joined);
  }
  add("[PAD7]", 5);
  s.bos_id = s.eos_id = 0;
  s.chat_template = "{{ messages }}";
  return s;
}

GgufTokenizerSource sentencepiece_source() {
  GgufTokenizerSource s;
  s.file = "tiny.gguf";
  s.model = "llama";
  s.tokens = {"<unk>", "<s>", "</s>"};
  s.token_types = {2, 3, 3};
  s.scores = {0, 0, 0};
  const auto add = [&](const std::string& token, int32_t type, float score) {
    s.tokens.push_back(token);
    s.token_types.push_back(type);
    s.scores.push_back(score);
  };
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    add(name, 6, 0);
  }
  float score = -1;
  for (const char* t : {"\xE2\x96\x81h", "el", "lo", "\xE2\x96\x81hel", "\xE2\x96\x81hello", "\xE2\x96\x81",
                        "h", "e", "l", "o", "w"})
    add(t, 1, score--);
  s.unk_id = 0;
  s.bos_id = 1;
  s.eos_id = 2;
  return s;
}

void expect_same_ids(const GgufTokenizerSource& s) {
  const Tokenizer wanted = Tokenizer::from_gguf(s),
                  got = Tokenizer::from_json(to_text(hf_tokenizer_json(s)), "written");
  for (const char* text : {"hello world", "hell 123 1234", " hello<|end|>hello", "a<tool>b",
                           "h\xC3\xA9llo\n\n  x", "[PAD7]", "", "hello hello wowl", "\xF0\x9F\x98\x80"})
    for (const bool special : {false, true}) {
      const std::vector<int32_t> ids = wanted.encode(text, special);
      EXPECT_EQ(got.encode(text, special), ids) << text;
      EXPECT_EQ(got.decode(ids, false), wanted.decode(ids, false)) << text;
    }
}

TEST(HfTokenizer, ByteLevelVocabulariesKeepTheirIds) {
  for (const char* pre : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
    SCOPED_TRACE(pre);
    expect_same_ids(byte_level_source(pre));
  }
}

TEST(HfTokenizer, SentencePieceVocabulariesKeepTheirIds) { expect_same_ids(sentencepiece_source()); }

TEST(HfTokenizer, BosIsPutInFrontWhereTheFileSaysSo) {
  GgufTokenizerSource s = byte_level_source("gpt-2");
  s.add_bos = true;
  expect_same_ids(s);
  EXPECT_EQ(Tokenizer::from_json(to_text(hf_tokenizer_json(s)), "written").encode("h", true).front(), 0);
}

TEST(HfTokenizer, TheConfigNamesSpecialTokensAndTheTemplate) {
  const Json c = hf_tokenizer_config(byte_level_source("smollm"), 2048);
  EXPECT_EQ(c.at("eos_token"), "<|end|>");
  EXPECT_EQ(c.at("chat_template"), "{{ messages }}");
  EXPECT_EQ(c.at("model_max_length"), 2048);
  EXPECT_FALSE(c.contains("pad_token"));
}

TEST(HfTokenizer, OtherTokenizerModelsAreRefusedByName) {
  GgufTokenizerSource s = byte_level_source("gpt-2");
  s.model = "bert";
  expect_error([&] { hf_tokenizer_json(s); }, ErrorKind::unsupported, {"'bert'", "tiny.gguf"});
}

}  // namespace
}  // namespace lorikeet::testing
