#include "config/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "config/help.h"
#include "config/run_keys.h"
#include "lorikeet/error.h"

namespace lorikeet {

enum class PlannedWord { here, later };
template <>
std::span<const Choice> choices_of<PlannedWord>() {
  static constexpr Choice words[] = {{"here", 0}, {"later", 1, /*built=*/false}};
  return words;
}

namespace {

using testing::HasSubstr;

struct Parsed {
  RunConfig config;
  std::vector<std::string> positionals;
};

Parsed parse(const std::vector<std::string>& arguments) {
  Parsed parsed;
  Options options;
  options.add_run_keys(parsed.config);
  options.parse(arguments, "finetune");
  options.store();
  parsed.positionals = options.positionals();
  return parsed;
}

Error refused(const std::vector<std::string>& arguments) {
  try {
    parse(arguments);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorKind::internal, "none");
}

TEST(CommandLine, TakesValuesAfterASpaceOrAnEqualsSign) {
  const RunConfig c =
      parse({"--lora-r", "8", "--lora-alpha=4", "--lora_dropout", "0.5", "--max-steps", "-1"}).config;
  EXPECT_EQ(c.lora_r, 8);
  EXPECT_EQ(c.lora_alpha, 4);
  EXPECT_EQ(c.lora_dropout, 0.5);
  EXPECT_EQ(c.max_steps, -1);
}

TEST(CommandLine, MarksAWordThatIsNotBuiltAndRefusesIt) {
  struct Own {
    PlannedWord word = PlannedWord::here;
  };
  static const std::array rows{key<&Own::word>("word", "own", "a choice")};
  const std::span<const Key<Own>> table(rows);
  std::vector<HelpRow> help;
  append_help_rows(help, table);
  EXPECT_THAT(flags_help(help, 80), HasSubstr("one of: here; not yet: later"));
  Own own;
  Options options;
  options.add(own, table);
  try {
    options.parse({"--word", "later"}, "test");
    options.store();
    ADD_FAILURE() << "no error was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("word \"later\" is not yet supported"));
  }
}

TEST(CommandLine, AddsUpAListGivenSeveralTimes) {
  const RunConfig c = parse({"--data", "a", "--data", "b,c"}).config;
  EXPECT_EQ(c.data, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(CommandLine, LetsABooleanStandAlone) {
  EXPECT_TRUE(parse({"--overwrite"}).config.overwrite);
  EXPECT_FALSE(parse({"--shuffle", "false"}).config.shuffle);
  EXPECT_FALSE(parse({"--shuffle=no"}).config.shuffle);
  EXPECT_EQ(parse({"--overwrite", "rest"}).positionals, std::vector<std::string>{"rest"});
  EXPECT_EQ(parse({"--gradient-checkpointing"}).config.gradient_checkpointing, GradientCheckpointing::on);
  EXPECT_EQ(parse({"--gradient-checkpointing", "false"}).config.gradient_checkpointing,
            GradientCheckpointing::off);
}

TEST(CommandLine, NotesTheFlagAsThePlaceOfAKey) {
  const RunConfig c = parse({"--lora-r", "8"}).config;
  EXPECT_EQ(c.given.at("lora_r"), "--lora-r");
}

TEST(CommandLine, SuggestsTheNearestFlag) {
  const Error error = refused({"--lerning-rate", "1"});
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_EQ(error.fix(), "did you mean \"--learning-rate\"?");
}

TEST(CommandLine, RefusesAMissingValue) {
  EXPECT_EQ(refused({"--lora-r"}).message(), "--lora-r needs a value");
  EXPECT_EQ(refused({"--model", "--data", "x"}).message(), "--model needs a value");
}

TEST(CommandLine, RefusesAFlagGivenTwice) {
  EXPECT_THAT(refused({"--lora-r", "8", "--lora-r", "4"}).message(), HasSubstr("twice"));
}

TEST(CommandLine, ChecksRangesAtTheFlag) { EXPECT_EQ(refused({"--lora-r", "0"}).where(), "--lora-r"); }

TEST(CommandLine, TakesEverythingAfterTwoDashesAsItIs) {
  EXPECT_EQ(parse({"--", "--lora-r"}).positionals, std::vector<std::string>{"--lora-r"});
}

TEST(Help, ShowsDefaults) {
  RunConfig config;
  Options options;
  options.add_run_keys(config);
  const std::string text = flags_help(options.help_rows(), 80);
  EXPECT_THAT(text, HasSubstr("--lora-r N  (default: 16)"));
  EXPECT_THAT(text, HasSubstr("--memory-limit SIZE  (default: what is free)"));
}

TEST(Help, KeepsToTheWidth) {
  RunConfig config;
  Options options;
  options.add_run_keys(config);
  std::string line;
  for (char c : flags_help(options.help_rows(), 80)) {
    if (c != '\n') {
      line += c;
      continue;
    }
    EXPECT_LE(line.size(), 80u) << line;
    line.clear();
  }
}

TEST(Help, ListsEveryKeyInTheMarkdown) {
  RunConfig config;
  Options options;
  options.add_run_keys(config);
  const std::string text = keys_markdown(options.help_rows());
  for (const Key<RunConfig>& row : run_keys())
    EXPECT_THAT(text, HasSubstr("| `" + std::string(row.info.name) + "` |"));
}

}  // namespace
}  // namespace lorikeet
