// Ids and decoded text against the official library, for every kind of part.
#include <gtest/gtest.h>

#include "fixtures.h"

namespace lorikeet {
namespace {

struct Variant {
  std::string base, name;
  Json parts, samples;
};
void PrintTo(const Variant& v, std::ostream* out) { *out << v.base << "/" << v.name; }

std::vector<Variant> variants() {
  std::vector<Variant> out;
  for (const char* base : {"byte_level", "byte_fallback"}) {
    for (const Json& v : fixtures::json(std::string(base) + "_goldens.json")) {
      out.push_back({base, v["name"].get<std::string>(), v["parts"], v["samples"]});
    }
  }
  return out;
}

class TokenizerGoldens : public testing::TestWithParam<Variant> {
 protected:
  Tokenizer tokenizer_ = fixtures::tokenizer(GetParam().base, GetParam().parts);
};

TEST_P(TokenizerGoldens, IdsEqualTheOfficialLibrarys) {
  for (const Json& s : GetParam().samples) {
    const auto text = s["text"].get<std::string>();
    EXPECT_EQ(tokenizer_.encode(text, false), s["ids"].get<std::vector<int32_t>>()) << s["text"];
    EXPECT_EQ(tokenizer_.encode(text, true), s["ids_special"].get<std::vector<int32_t>>()) << s["text"];
  }
}

TEST_P(TokenizerGoldens, DecodedTextEqualsTheOfficialLibrarys) {
  for (const Json& s : GetParam().samples) {
    const auto ids = s["ids"].get<std::vector<int32_t>>(),
               special = s["ids_special"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer_.decode(ids, false), s["decoded"].get<std::string>()) << s["text"];
    EXPECT_EQ(tokenizer_.decode(special, true), s["visible"].get<std::string>()) << s["text"];
  }
}

TEST_P(TokenizerGoldens, OffsetsAreOrderedInsideTheTextAndLeaveTheIdsAlone) {
  for (const Json& s : GetParam().samples) {
    const auto text = s["text"].get<std::string>();
    const Encoding e = tokenizer_.encode_with_offsets(text, true);
    EXPECT_EQ(e.ids, tokenizer_.encode(text, true)) << s["text"];
    ASSERT_EQ(e.offsets.size(), e.ids.size());
    size_t from = 0;
    for (const TokenOffsets& o : e.offsets) {
      EXPECT_LE(from, o.begin) << s["text"];
      EXPECT_LE(o.begin, o.end);
      EXPECT_LE(o.end, text.size());
      from = o.begin;
    }
  }
}

TEST_P(TokenizerGoldens, StreamedTextEqualsDecodedText) {
  for (const Json& s : GetParam().samples) {
    const auto ids = s["ids"].get<std::vector<int32_t>>();
    StreamDecoder stream(tokenizer_, false);
    std::string text;
    for (const int32_t id : ids) text += stream.push(id);
    text += stream.finish();
    EXPECT_EQ(text, tokenizer_.decode(ids, false)) << s["text"];
  }
}

INSTANTIATE_TEST_SUITE_P(AllParts, TokenizerGoldens, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.base + "_" + info.param.name; });

}  // namespace
}  // namespace lorikeet
