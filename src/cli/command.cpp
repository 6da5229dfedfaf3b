#include "cli/command.h"

#include <unistd.h>

#include <array>

#include "cli/output.h"
#include "cli/terminal.h"
#include "config/key_value.h"
#include "core/error.h"

namespace lorikeet::cli {
namespace {

struct ConfigOption {
  std::string config;
};

std::span<const Key<CommonOptions>> common_keys() {
  using C = CommonOptions;
  static const std::array table{
      key<&C::json>("json", "output", "one JSON object on standard output, or one per input row"),
      key<&C::quiet>("quiet", "output", "no progress"),
      key<&C::help>("help", "output", "this text"),
  };
  return table;
}

}  // namespace

CommandLine::CommandLine(std::string_view name, std::string_view usage, std::string_view about)
    : name_(name), usage_(usage), about_(about) {}

bool CommandLine::read(const std::vector<std::string>& arguments, RunConfig* config) {
  ConfigOption file;
  if (config) {
    static const std::array table{
        key<&ConfigOption::config>("config", "output", "YAML file of the same keys; flags win over it")
            .path()};
    options.add(file, std::span<const Key<ConfigOption>>(table));
  }
  options.add(common, common_keys());
  // Help is answered whatever else stands on the line.
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument != "--help" && argument != "-h") continue;
    out().write(fmt::format("lorikeet {}\n\n{}\n\n{}", usage_, about_,
                            flags_help(options.help_rows(), terminal_width(STDOUT_FILENO))));
    return false;
  }
  options.parse(arguments, name_);
  options.store({"config", "json", "quiet", "help"});
  set_quiet(common.quiet);
  if (config && !file.config.empty()) {
    config_file = file.config;
    apply_yaml_file(*config, file.config);
  }
  options.store();
  return true;
}

void CommandLine::expect_positionals(size_t least, size_t most, std::string_view what) const {
  const auto& words = options.positionals();
  if (words.size() > most)
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is not expected here", words[most]),
                "lorikeet " + name_, fmt::format("usage: lorikeet {}", usage_));
  if (words.size() < least)
    throw Error(ErrorKind::usage, fmt::format("{} is missing", what), "lorikeet " + name_,
                fmt::format("usage: lorikeet {}", usage_));
}

namespace {
[[noreturn]] void missing(std::string_view flag, std::string_view command) {
  throw Error(ErrorKind::usage, fmt::format("{} is required", flag), fmt::format("lorikeet {}", command),
              fmt::format("add {}; see lorikeet {} --help", flag, command));
}
}  // namespace

void require(const std::string& value, std::string_view flag, std::string_view command) {
  if (value.empty()) missing(flag, command);
}

void require(const std::vector<std::string>& value, std::string_view flag, std::string_view command) {
  if (value.empty()) missing(flag, command);
}

}  // namespace lorikeet::cli
