// lorikeet debug: dump writes logits, loss and gradients; diff compares two dumps.
#include "cli/command.h"
#include "cli/debug_commands.h"
#include "cli/output.h"
#include "config/nearest.h"
#include "core/error.h"

namespace lorikeet::cli {

int run_debug(const std::vector<std::string>& arguments) {
  constexpr const char* kUsage = "usage: lorikeet debug dump | diff; see lorikeet debug dump --help";
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what == "--help" || what == "-h") {
    out().write(
        "lorikeet debug dump --model M --data tokenized.jsonl --output dump.safetensors\n"
        "lorikeet debug diff A.safetensors B.safetensors\n\n"
        "lorikeet debug dump --help and lorikeet debug diff --help show the options.\n");
    return 0;
  }
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (what == "dump") return run_debug_dump(rest);
  if (what == "diff") return run_debug_diff(rest);
  if (what.empty()) throw Error(ErrorKind::usage, "what to debug is missing", "lorikeet debug", kUsage);
  throw Error(ErrorKind::usage, fmt::format("unknown word \"{}\"", what), "lorikeet debug",
              did_you_mean(what, {"dump", "diff"}, kUsage));
}

}  // namespace lorikeet::cli
