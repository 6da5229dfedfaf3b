#pragma once
// What all commands share: their flags, --help, --json and --quiet.
#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"

namespace lorikeet::cli {

/// A row of the list of commands in main.cpp.
struct Command {
  std::string_view name;
  std::string_view summary;
  int (*run)(const std::vector<std::string>& arguments);  ///< null: not yet
};

/// Flags that every command knows.
struct CommonOptions {
  bool help = false;
  bool json = false;
  bool quiet = false;
};

/// The command line of one command. Fill `options` with the command's keys, then call `read`.
class CommandLine {
 public:
  /// `usage` is what follows "lorikeet " in the first line of help; `about` is one or more sentences.
  CommandLine(std::string_view name, std::string_view usage, std::string_view about);

  /// Parses and stores. With --help prints the help and returns false: the command is done.
  /// With `config_file` the keys of --config are stored into `config` before the flags.
  bool read(const std::vector<std::string>& arguments, RunConfig* config = nullptr);

  /// Throws Error(usage) if more than `most` words without a flag were given, or fewer than `least`.
  void expect_positionals(size_t least, size_t most, std::string_view what) const;

  Options options;
  CommonOptions common;
  std::string config_file;  ///< --config, where the command has it

 private:
  std::string name_, usage_, about_;
};

/// Throws Error(usage) naming the flag if the text or list is empty.
void require(const std::string& value, std::string_view flag, std::string_view command);
void require(const std::vector<std::string>& value, std::string_view flag, std::string_view command);

// One function per file of this folder.
int run_finetune(const std::vector<std::string>& arguments);
int run_generate(const std::vector<std::string>& arguments);
int run_chat(const std::vector<std::string>& arguments);
int run_eval(const std::vector<std::string>& arguments);
int run_compare(const std::vector<std::string>& arguments);
int run_plan(const std::vector<std::string>& arguments);
int run_merge(const std::vector<std::string>& arguments);
int run_quantize(const std::vector<std::string>& arguments);
int run_inspect(const std::vector<std::string>& arguments);
int run_tokenize(const std::vector<std::string>& arguments);
int run_template(const std::vector<std::string>& arguments);
int run_debug(const std::vector<std::string>& arguments);
int run_doctor(const std::vector<std::string>& arguments);

}  // namespace lorikeet::cli
