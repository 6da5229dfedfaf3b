// lorikeet inspect: a model, an adapter, or how a data set is tokenized and masked.
#include "cli/command.h"
#include "cli/inspect_commands.h"
#include "cli/output.h"
#include "config/nearest.h"
#include "core/error.h"

namespace lorikeet::cli {

int run_inspect(const std::vector<std::string>& arguments) {
  constexpr const char* kUsage =
      "usage: lorikeet inspect model | adapter | data; see lorikeet inspect data --help";
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what == "--help" || what == "-h") {
    out().write(
        "lorikeet inspect model --model M\n"
        "lorikeet inspect adapter --adapter A [--model M]\n"
        "lorikeet inspect data --model M --data F [--rows 5]\n\n"
        "Each with --json, and with --help for its options.\n");
    return 0;
  }
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (what == "model") return run_inspect_model(rest);
  if (what == "adapter") return run_inspect_adapter(rest);
  if (what == "data") return run_inspect_data(rest);
  if (what.empty()) throw Error(ErrorKind::usage, "what to inspect is missing", "lorikeet inspect", kUsage);
  throw Error(ErrorKind::usage, fmt::format("unknown word \"{}\"", what), "lorikeet inspect",
              did_you_mean(what, {"model", "adapter", "data"}, kUsage));
}

}  // namespace lorikeet::cli
