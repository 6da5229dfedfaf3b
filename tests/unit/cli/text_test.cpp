#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/error_text.h"
#include "cli/marked_text.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/text_format.h"

namespace lorikeet::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Numbers, AreGroupedByThousands) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(148210), "148,210");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
}

TEST(Numbers, AreShortInMillions) {
  EXPECT_EQ(in_millions(4096), "4,096");
  EXPECT_EQ(in_millions(4880000), "4.88 M");
  EXPECT_EQ(in_millions(134515008), "134.5 M");
  EXPECT_EQ(in_millions(6980000000), "6.98 B");
}

TEST(Sizes, AreShownWithTheirUnit) {
  EXPECT_EQ(in_gib(uint64_t{655} << 20), "0.64 GiB");
  EXPECT_EQ(in_bytes(19600000), "19.6 MB");
  EXPECT_EQ(in_bytes(12), "12 bytes");
}

TEST(Durations, ReadAsPeopleSayThem) {
  EXPECT_EQ(as_duration(137), "2 min 17 s");
  EXPECT_EQ(as_duration(3840), "1 h 04 min");
  EXPECT_EQ(as_duration(12.34), "12.3 s");
  EXPECT_EQ(as_duration(-1), "?");
  EXPECT_EQ(as_clock(98), "1:38");
  EXPECT_EQ(as_clock(7265), "2:01:05");
}

TEST(Tables, AlignColumnsByCharactersNotBytes) {
  EXPECT_EQ(table_text({{"name", "n"}, {"\xC3\xA9", "10"}}, "lr"), "name   n\n\xC3\xA9     10\n");
}

TEST(Printable, TakesTheTerminalsControlAway) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a\\x1B[31mb");
  EXPECT_EQ(printable("a\nb\tc"), "a b c");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\u009B31m");
  EXPECT_EQ(printable("\xC3\xA9"), "\xC3\xA9");
}

TEST(ErrorText, IsThreeLinesWhateverTheErrorSays) {
  const std::string text =
      error_text(Error(ErrorKind::format, "two\nlines", "file", ""), "lorikeet tokenize");
  EXPECT_EQ(text, "error: two lines\n  where: file\n  fix:   see lorikeet tokenize --help\n");
}

TEST(ErrorText, CallsAnInternalErrorABug) {
  EXPECT_THAT(error_text(Error(ErrorKind::internal, "x"), "lorikeet"), HasSubstr("bug"));
}

TEST(MarkedText, SetsTargetsOffByMarksAndByColourOnlyOnRequest) {
  const std::vector<PreviewPiece> pieces{{"user\n", false}, {"yes", true}};
  EXPECT_EQ(marked_text(pieces, false, 0), "user⏎▌yes▐");
  EXPECT_THAT(marked_text(pieces, true, 0), HasSubstr("\x1b[32m▌yes▐\x1b[0m"));
}

TEST(MarkedText, KeepsBothEndsOfALongStretch) {
  const std::string text = marked_text({{std::string(50, 'a') + std::string(50, 'b'), true}}, false, 20);
  EXPECT_THAT(text, HasSubstr("aaa…bbb"));
  EXPECT_LE(columns_of(text), 23);
}

StepReport report() {
  StepReport r;
  r.step = 120;
  r.total_steps = 375;
  r.loss = 0.412;
  r.grad_norm = 0.83;
  r.learning_rate = 1.71e-4;
  r.tokens_per_second = 1066;
  r.seconds_left = 98;
  r.peak_bytes = int64_t{614} << 20;
  return r;
}

TEST(ProgressLine, HoldsEveryFigure) {
  EXPECT_EQ(progress_line(report()),
            "step 120/375  loss 0.412  grad 0.83  lr 1.71e-4  1,066 tok/s  0.60 GiB  1:38 left");
}

TEST(ProgressBar, FitsEveryWidth) {
  for (int width = 20; width <= 140; ++width)
    EXPECT_LE(columns_of(progress_bar(report(), width, true)), width) << width;
}

TEST(ProgressBar, DropsTheLeastImportantFiguresFirst) {
  EXPECT_THAT(progress_bar(report(), 130, true), HasSubstr("lr 1.71e-4"));
  const std::string narrow = progress_bar(report(), 80, true);
  EXPECT_THAT(narrow, HasSubstr("loss 0.412"));
  EXPECT_THAT(narrow, HasSubstr("1:38 left"));
  EXPECT_THAT(narrow, Not(HasSubstr("lr ")));
}

TEST(ProgressBar, UsesPlainSignsWithoutUnicode) {
  EXPECT_THAT(progress_bar(report(), 100, false), HasSubstr("#--"));
}

}  // namespace
}  // namespace lorikeet::cli
