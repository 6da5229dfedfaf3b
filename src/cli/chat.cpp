// lorikeet chat: a conversation in the terminal, streamed.
#include <unistd.h>

#include <iostream>

#include "cli/command.h"
#include "cli/error_text.h"
#include "cli/generation_options.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/use_options.h"
#include "core/error.h"
#include "lorikeet/text_generator.h"

namespace lorikeet::cli {
namespace {

constexpr const char* kHelp = "/reset starts again, /exit leaves (or Ctrl-D); Ctrl-C stops an answer\n";

/// Adds the answer to the conversation; takes the question back if it cannot be answered.
void answer(TextGenerator& generator, Conversation& conversation, const GenerationSettings& settings,
            bool json) {
  const auto stream = [&](size_t, const std::string& piece) {
    if (!json) {
      out().write(piece);
      out().flush();
    }
    return !interrupt_flag();
  };
  try {
    const GeneratedText text = generator.reply({conversation}, settings, stream)[0];
    if (json) {
      out().json(Json{{"text", text.text},
                      {"prompt_tokens", text.prompt_tokens},
                      {"tokens", text.tokens},
                      {"finish_reason", text.finish_reason}});
    } else {
      out().line(text.finish_reason == "length" ? " […]" : "");
    }
    out().flush();
    conversation.push_back({"assistant", text.text});
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal || error.kind() == ErrorKind::resource) throw;
    note(error_text(error, "lorikeet chat"));
    conversation.pop_back();
  }
}

}  // namespace

int run_chat(const std::vector<std::string>& arguments) {
  CommandLine line(
      "chat", "chat --model M [--adapter A]",
      "An interactive conversation. /reset starts again, /exit or Ctrl-D leaves, Ctrl-C stops an answer.");
  RunConfig config;
  GenerationSettings settings;
  settings.max_new_tokens = 512;
  line.options.add(settings, generation_keys());
  line.options.show_default("max_new_tokens", "512");
  add_use_keys(line.options, config);
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  check_use(config, "chat");

  TextGenerator generator(config);
  const bool interactive = is_terminal(STDIN_FILENO) && !line.common.quiet;
  if (interactive) note(kHelp);
  catch_interrupts("");
  Conversation conversation;
  for (std::string text;;) {
    reset_interrupt();
    if (interactive) note("> ");
    if (!std::getline(std::cin, text)) break;
    if (text == "/exit" || text == "/quit") break;
    if (text == "/reset") {
      conversation.clear();
      continue;
    }
    if (text == "/help") {
      note(kHelp);
      continue;
    }
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    conversation.push_back({"user", text});
    answer(generator, conversation, settings, line.common.json);
  }
  if (interactive) note("\n");
  return 0;
}

}  // namespace lorikeet::cli
