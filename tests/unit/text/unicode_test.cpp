#include "text/unicode.h"

#include <gtest/gtest.h>

#include "text/unicode_forms.h"

namespace lorikeet::text {
namespace {

TEST(BrokenUtf8, IsReplacedByMaximalSubparts) {
  EXPECT_EQ(replace_invalid_utf8("a\x80z"), "a\ufffdz");
  EXPECT_EQ(replace_invalid_utf8("\xe6\xbc"), "\ufffd");
  EXPECT_EQ(replace_invalid_utf8("\xf0\x9f\x98z"), "\ufffdz");
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), "\ufffd\ufffd");            // an overlong slash
  EXPECT_EQ(replace_invalid_utf8("\xf5\x80"), "\ufffd\ufffd");
}

TEST(CharacterClasses, KnowWhatUnicode14DidNot) {
  EXPECT_NE(classed_alike(0x10d50), 0x10d50u);  // Garay capital letter, Unicode 16
  EXPECT_EQ(classed_alike('a'), static_cast<uint32_t>('a'));
  EXPECT_EQ(to_utf8(classed_alike(0x10d50)).size(), 4u);
  EXPECT_EQ(to_utf8(classed_alike(0x1c89)).size(), 3u);
  EXPECT_NE(classed_alike(0x180e), 0x180eu);  // no white space any more
  EXPECT_TRUE(is_white_space(0x3000));
  EXPECT_FALSE(is_white_space(0x180e));
  EXPECT_TRUE(is_numeric(0xbd));
  EXPECT_TRUE(is_punctuation('$'));
}

TEST(NormalizationForms, ComposeDecomposeAndOrderMarks) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(to_nfd("\u00e9"), "e\u0301");
  EXPECT_EQ(to_nfkc("\ufb01"), "fi");
  EXPECT_EQ(to_nfc("a\u0301\u0327"), to_nfc("a\u0327\u0301"));
  EXPECT_EQ(to_nfc("\u1100\u1161\u11a8"), "\uac01");
}

TEST(NormalizationForms, SortLongRunsOfMarksQuickly) {
  std::string marks = "a";
  for (int i = 0; i < 200000; ++i) marks += i % 2 ? "\u0301" : "\u0327";
  EXPECT_EQ(to_nfd(marks).size(), marks.size());
}

}  // namespace
}  // namespace lorikeet::text
