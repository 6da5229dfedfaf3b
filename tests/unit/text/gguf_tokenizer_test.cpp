// A tokenizer from GGUF metadata gives the ids of the tokenizer.json it was made from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "fixtures.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;

// What llama.cpp's converter would write for a byte-level tokenizer.json.
GgufTokenizerSource gguf_of(const std::string& base, const std::string& pre) {
  const Json j = fixtures::tokenizer_json(base);
  const Tokenizer t = fixtures::tokenizer(base);
  GgufTokenizerSource s;
  s.file = "m.gguf";
  s.model = "gpt2";
  s.pre = pre;
  for (int32_t id = 0; id < t.vocab_size(); ++id) {
    s.tokens.push_back(t.id_to_token(id).value_or("unused " + std::to_string(id)));
    s.token_types.push_back(1);
  }
  for (const Json& added : j["added_tokens"]) {
    s.token_types[added["id"].get<size_t>()] = added["special"].get<bool>() ? 3 : 4;
  }
  for (const Json& m : j["model"]["merges"]) {
    s.merges.push_back(m.is_array() ? m[0].get<std::string>() + " " + m[1].get<std::string>()
                                    : m.get<std::string>());
  }
  return s;
}

struct Pre {
  const char* gguf;
  const char* variant;
};
void PrintTo(const Pre& p, std::ostream* out) { *out << p.gguf; }

class GgufTokenizer : public testing::TestWithParam<Pre> {};

TEST_P(GgufTokenizer, GivesTheIdsOfTheTokenizerJsonItWasMadeFrom) {
  const Tokenizer t = Tokenizer::from_gguf(gguf_of("byte_level", GetParam().gguf));
  for (const Json& variant : fixtures::json("byte_level_goldens.json")) {
    if (variant["name"] != GetParam().variant) continue;
    for (const Json& s : variant["samples"]) {
      const auto text = s["text"].get<std::string>();
      if (text.find('<') != std::string::npos) continue;  // GGUF has no strip flags of added tokens
      EXPECT_EQ(t.encode(text, false), s["ids"].get<std::vector<int32_t>>()) << text;
      EXPECT_EQ(t.decode(t.encode(text, false), false), s["decoded"].get<std::string>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryPre, GgufTokenizer,
                         testing::Values(Pre{"gpt-2", "gpt2"}, Pre{"smollm", "smollm"},
                                         Pre{"llama-bpe", "ignore_merges"}),
                         [](const auto& info) {
                           std::string name = info.param.variant;
                           return name;
                         });

TEST(GgufTokenizerOfControlTokens, FindsThemInTheText) {
  const Tokenizer t = Tokenizer::from_gguf(gguf_of("byte_level", "gpt-2"));
  const std::vector<int32_t> ids = t.encode("a<|im_end|>", false);
  EXPECT_EQ(ids.back(), t.token_to_id("<|im_end|>"));
  EXPECT_TRUE(t.is_special(ids.back()));
}

TEST(GgufTokenizerWithBos, PutsItInFrontOnlyWhenAsked) {
  GgufTokenizerSource s = gguf_of("byte_level", "gpt-2");
  s.bos_id = 0;
  s.add_bos = true;
  const Tokenizer t = Tokenizer::from_gguf(s);
  EXPECT_TRUE(t.adds_bos());
  EXPECT_EQ(t.encode("a", true).front(), 0);
  EXPECT_NE(t.encode("a", false).front(), 0);
}

// A SentencePiece model: the best score is merged first.
GgufTokenizerSource llama_source() {
  GgufTokenizerSource s;
  s.file = "m.gguf";
  s.model = "llama";
  const auto add = [&](const std::string& token, float score, int32_t type) {
    s.tokens.push_back(token);
    s.scores.push_back(score);
    s.token_types.push_back(type);
  };
  add("<unk>", 0, 2);
  add("<s>", 0, 3);
  add("</s>", 0, 3);
  for (int b = 0; b < 256; ++b) add(fmt::format("<0x{:02X}>", b), 0, 6);
  for (const char* token : {"\u2581", "a", "b", "c"}) add(token, -100, 1);
  add("ab", -3, 1);
  add("bc", -1, 1);
  add("abc", -5, 1);
  add("\u2581a", -2, 1);
  s.unk_id = 0;
  s.bos_id = 1;
  s.eos_id = 2;
  return s;
}

std::vector<std::string> tokens_of(const Tokenizer& t, const std::string& text) {
  std::vector<std::string> out;
  for (const int32_t id : t.encode(text, false)) out.push_back(*t.id_to_token(id));
  return out;
}

TEST(GgufTokenizerOfALlamaModel, MergesByScore) {
  const Tokenizer t = Tokenizer::from_gguf(llama_source());
  EXPECT_THAT(tokens_of(t, "abc"), testing::ElementsAre("\u2581a", "bc"));
  EXPECT_THAT(tokens_of(t, "b abc"), testing::ElementsAre("\u2581", "b", "\u2581a", "bc"));
}

TEST(GgufTokenizerOfALlamaModel, FallsBackToBytesAndDecodesThem) {
  const Tokenizer t = Tokenizer::from_gguf(llama_source());
  EXPECT_THAT(tokens_of(t, "é"), testing::ElementsAre("\u2581", "<0xC3>", "<0xA9>"));
  EXPECT_EQ(t.decode(t.encode("a é b", false), false), "a é b");
  EXPECT_EQ(t.encode("a", true).front(), 1);
}

TEST(GgufTokenizerOfALlamaModel, LeavesTheSpaceInFrontOutWhenTheFileSaysSo) {
  GgufTokenizerSource s = llama_source();
  s.add_space_prefix = false;
  EXPECT_THAT(tokens_of(Tokenizer::from_gguf(s), "abc"), testing::ElementsAre("abc"));
}

std::string refusal(const GgufTokenizerSource& s) {
  try {
    Tokenizer::from_gguf(s);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(BrokenGgufTokenizer, IsRefusedNamingTheKey) {
  GgufTokenizerSource s = llama_source();
  s.model = "t5";
  EXPECT_THAT(refusal(s), HasSubstr("'t5' is not supported"));
  s = gguf_of("byte_level", "klingon");
  EXPECT_THAT(refusal(s), HasSubstr("'klingon' is not supported"));
  s = llama_source();
  s.scores.pop_back();
  EXPECT_THAT(refusal(s), HasSubstr("tokenizer.ggml.scores"));
  s = llama_source();
  s.token_types.pop_back();
  EXPECT_THAT(refusal(s), HasSubstr("tokenizer.ggml.token_type"));
  s = llama_source();
  s.tokens.clear();
  EXPECT_THAT(refusal(s), HasSubstr("vocabulary is empty"));
  s = llama_source();
  s.tokens[5] = "\xff";
  EXPECT_THAT(refusal(s), HasSubstr("token 5 is not UTF-8"));
  s = llama_source();
  s.eos_id = 100000;
  EXPECT_THAT(refusal(s), HasSubstr("tokenizer.ggml.eos_token_id"));
  s = gguf_of("byte_level", "gpt-2");
  s.merges.push_back("nonsense");
  EXPECT_THAT(refusal(s), HasSubstr("tokenizer.ggml.merges"));
}

TEST(GgufTokenizerWithHuggingFaceJson, UsesItFirst) {
  GgufTokenizerSource s = llama_source();
  s.huggingface_json = fixtures::tokenizer_json("byte_level").dump();
  const Tokenizer t = Tokenizer::from_gguf(s), expected = fixtures::tokenizer("byte_level");
  EXPECT_EQ(t.encode("Hello world", false), expected.encode("Hello world", false));
}

}  // namespace
}  // namespace lorikeet
