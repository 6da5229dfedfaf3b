// lorikeet tokenize: text to ids, and what they decode to.
#include <array>
#include <optional>

#include "cli/command.h"
#include "cli/json_lines.h"
#include "cli/model_text.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "cli/text_format.h"
#include "core/error.h"

namespace lorikeet::cli {
namespace {

struct TokenizeOptions {
  std::optional<std::string> text;
  std::string input;
  bool add_special_tokens = false;
};

std::span<const Key<TokenizeOptions>> table() {
  using O = TokenizeOptions;
  static const std::array rows{
      key<&O::text>("text", "input", "the text"),
      key<&O::input>("input", "input", "JSONL file with one JSON string per line")
          .path()
          .shown_default("none"),
      key<&O::add_special_tokens>("add_special_tokens", "input",
                                  "apply the tokenizer's own BOS and EOS rule"),
  };
  return rows;
}

Json as_json(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  return Json{{"ids", ids}, {"text", tokenizer.decode(ids, false)}};
}

void print_ids(const std::vector<int32_t>& ids) {
  std::string line;
  for (const int32_t id : ids) line += fmt::format("{}{}", line.empty() ? "" : " ", id);
  out().line(line);
}

void print_table(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::vector<std::vector<std::string>> rows{{"id", "token", "text"}};
  for (const int32_t id : ids)
    rows.push_back({fmt::format("{}", id), printable(tokenizer.id_to_token(id).value_or("")),
                    to_text(Json(tokenizer.decode(std::array{id}, false)))});
  out().write(table_text(rows, "rll"));
}

}  // namespace

int run_tokenize(const std::vector<std::string>& arguments) {
  CommandLine line(
      "tokenize", "tokenize --model M (--text T | --input FILE.jsonl) [--json]",
      "Shows the token ids of a text. A folder with nothing but tokenizer.json or tokenizer.model is "
      "enough.");
  RunConfig config;
  TokenizeOptions own;
  line.options.add_run_keys(config, {"model"});
  line.options.add(own, table());
  if (!line.read(arguments)) return 0;
  line.expect_positionals(0, 0, "");
  require(config.model, "--model", "tokenize");
  if (own.text.has_value() == !own.input.empty())
    throw Error(ErrorKind::usage, own.text ? "--text and --input exclude each other" : "nothing to tokenize",
                "lorikeet tokenize", "give --text or --input");

  const Tokenizer tokenizer = load_tokenizer(config.model);
  if (own.text) {
    const std::vector<int32_t> ids = tokenizer.encode(*own.text, own.add_special_tokens);
    if (line.common.json) {
      out().json(as_json(tokenizer, ids));
    } else {
      print_table(tokenizer, ids);
    }
    return 0;
  }
  for_each_json_line(own.input, [&](const Json& row, const std::string& where) {
    const std::vector<int32_t> ids = tokenizer.encode(json_string(row, where), own.add_special_tokens);
    if (line.common.json) {
      out().json(as_json(tokenizer, ids));
    } else {
      print_ids(ids);
    }
  });
  return 0;
}

}  // namespace lorikeet::cli
