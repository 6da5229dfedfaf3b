#pragma once
// Template source to tokens, with Jinja2's white-space rules under trim_blocks and lstrip_blocks.
#include <string>
#include <vector>

namespace lorikeet::jinja {

enum class TokenKind {
  data,         ///< text outside tags
  block_begin,  ///< {%
  block_end,
  variable_begin,  ///< {{
  variable_end,
  name,
  string,  ///< text is the decoded content
  integer,
  real,
  op,  ///< punctuation; text is the operator
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  int line = 1;
};

/// Throws Error(format) with the line for an unclosed tag, comment or string or a stray character. `name`
/// stands in errors. The last token is `end`.
std::vector<Token> tokenize_template(const std::string& source, const std::string& name);

}  // namespace lorikeet::jinja
