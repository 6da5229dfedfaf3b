// lorikeet template: conversations as the chat template writes them.
#include <array>
#include <optional>

#include "cli/command.h"
#include "cli/json_lines.h"
#include "cli/model_text.h"
#include "cli/output.h"
#include "core/error.h"
#include "train/text_generator.h"

namespace lorikeet::cli {
namespace {

struct TemplateOptions {
  std::string template_name;
  std::string messages;
  bool add_generation_prompt = false;
};

std::span<const Key<TemplateOptions>> table() {
  using O = TemplateOptions;
  static const std::array rows{
      key<&O::template_name>("template", "input",
                             "Jinja file, or chatml, llama3 or alpaca, in place of the model's")
          .name_or_path()
          .shown_default("from the model"),
      key<&O::messages>("messages", "input",
                        "JSONL file with {\"messages\": [...], \"tools\": ..., further variables} per line")
          .path()
          .required(),
      key<&O::add_generation_prompt>("add_generation_prompt", "input", "end where the assistant speaks next"),
  };
  return rows;
}

/// What the template sees: the row's members over the special tokens of the tokenizer, if there is one.
Json variables_of(const Json& row, const std::optional<Tokenizer>& tokenizer, bool add_generation_prompt) {
  ChatInput input;
  input.add_generation_prompt = add_generation_prompt;
  Json variables;
  if (tokenizer) {
    variables = chat_variables(*tokenizer, input);
  } else {
    variables = Json{{"messages", nullptr},
                     {"tools", nullptr},
                     {"documents", nullptr},
                     {"add_generation_prompt", add_generation_prompt}};
  }
  for (const auto& [name, value] : row.items()) variables[name] = value;
  return variables;
}

ChatTemplate model_template(const Tokenizer& tokenizer, const std::string& model) {
  if (auto chat = select_chat_template(std::nullopt, tokenizer)) return *chat;
  throw Error(ErrorKind::usage, "the model has no chat template", model,
              "name one: --template chatml, llama3, alpaca or a Jinja file");
}

}  // namespace

int run_template(const std::vector<std::string>& arguments) {
  CommandLine line(
      "template",
      "template (--model M | --template FILE.jinja) --messages FILE.jsonl [--add-generation-prompt] [--json]",
      "Renders conversations with a chat template.");
  RunConfig config;
  TemplateOptions own;
  line.options.add_run_keys(config, {"model"});
  line.options.add(own, table());
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(own.messages, "--messages", "template");
  if (config.model.empty() && own.template_name.empty())
    throw Error(ErrorKind::usage, "no template is named", "lorikeet template", "give --model or --template");

  std::optional<Tokenizer> tokenizer;
  if (!config.model.empty()) tokenizer = load_tokenizer(config.model);
  const ChatTemplate chat = own.template_name.empty() ? model_template(*tokenizer, config.model)
                                                      : named_chat_template(own.template_name);
  for_each_json_line(own.messages, [&](const Json& row, const std::string& where) {
    if (!row.is_object() || !row.contains("messages"))
      throw Error(ErrorKind::format, "the row has no messages", where,
                  "write {\"messages\": [...]} on each line");
    try {
      const std::string text = chat.render(variables_of(row, tokenizer, own.add_generation_prompt)).text;
      if (line.common.json) {
        out().json(Json{{"text", text}});
      } else {
        out().line(text);
      }
    } catch (const Error& error) {
      // One object per row, so that the rows after it are answered too.
      if (!line.common.json || error.kind() == ErrorKind::internal)
        throw Error(error.kind(), error.message(), where, error.fix());
      out().json(Json{{"error", error.message()}});
    }
  });
  return 0;
}

}  // namespace lorikeet::cli
