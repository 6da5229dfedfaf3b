// The command line: finds the command and turns what it throws into text and an exit code.
#include <array>
#include <csignal>
#include <exception>

#include "cli/command.h"
#include "cli/error_text.h"
#include "cli/output.h"
#include "cli/version.h"
#include "config/help.h"
#include "config/nearest.h"
#include "config/run_keys.h"
#include "core/error.h"

namespace lorikeet::cli {
namespace {

constexpr std::array kCommands{
    Command{"finetune", "train LoRA, QLoRA or all weights", run_finetune},
    Command{"generate", "complete prompts or conversations", run_generate},
    Command{"chat", "converse in the terminal", run_chat},
    Command{"eval", "loss, perplexity, token accuracy and exact match on a data set", run_eval},
    Command{"compare", "train with several methods and compare them", run_compare},
    Command{"plan", "say what a run will need before it starts", run_plan},
    Command{"merge", "merge an adapter into its base, or convert a model", run_merge},
    Command{"quantize", "write a 4-bit checkpoint", run_quantize},
    Command{"inspect", "show a model, an adapter or how data is tokenized", run_inspect},
    Command{"tokenize", "the tokenizer by itself", run_tokenize},
    Command{"template", "the chat template by itself", run_template},
    Command{"debug", "dump logits, loss and gradients; compare two dumps", run_debug},
    Command{"doctor", "what this machine offers", run_doctor},
};

std::string overview() {
  std::string text =
      "lorikeet: fine-tunes language models with LoRA and QLoRA\n\nusage: lorikeet COMMAND "
      "[options]\n\ncommands:\n";
  for (const Command& command : kCommands)
    text += fmt::format("  {:<10} {}{}\n", command.name, command.summary, command.run ? "" : "  [not yet]");
  return text +
         "\n  lorikeet COMMAND --help   options of a command\n"
         "  lorikeet --version        version, commit, compiler, instruction sets\n"
         "  lorikeet --help-keys      every configuration key, as Markdown\n";
}

std::string key_reference() {
  std::vector<HelpRow> rows;
  append_help_rows(rows, run_keys());
  return "# Configuration\n\nMade by `lorikeet --help-keys`. Each key is a line `key: value` in the file "
         "given to "
         "`--config`, or a flag in kebab-case (`learning_rate` is `--learning-rate`); a flag wins over the "
         "file. Lists "
         "and maps on the command line are JSON, lists may also be comma-separated.\n" +
         keys_markdown(rows);
}

int dispatch(const std::vector<std::string>& arguments) {
  const std::string name = arguments.empty() ? "" : arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    out().write(overview());
    return 0;
  }
  if (name == "--version") {
    out().write(version_text());
    return 0;
  }
  if (name == "--help-keys") {
    out().write(key_reference());
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    names.emplace_back(command.name);
    if (command.name != name) continue;
    if (!command.run)
      throw Error(ErrorKind::unsupported, fmt::format("the command \"{}\" is not yet supported", name),
                  "lorikeet", "see lorikeet --help for the commands");
    return command.run({arguments.begin() + 1, arguments.end()});
  }
  if (name.empty())
    throw Error(ErrorKind::usage, "a command is missing", "lorikeet", "see lorikeet --help for the commands");
  throw Error(ErrorKind::usage, fmt::format("unknown command \"{}\"", name), "lorikeet",
              did_you_mean(name, names, "see lorikeet --help for the commands"));
}

}  // namespace
}  // namespace lorikeet::cli

int main(int argc, char** argv) {
  // A closed pipe and a file size limit are errors of the write that meets them, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  std::string command = "lorikeet";
  if (!arguments.empty() && arguments[0].rfind('-', 0) != 0) command += " " + arguments[0];
  return lorikeet::cli::run_and_report(
      command,
      [](void* context) { return lorikeet::cli::dispatch(*static_cast<std::vector<std::string>*>(context)); },
      &arguments);
}
