#pragma once
// Expressions: the part of the parser between {{ and }}.
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace lorikeet::jinja {

/// A place in the token list, and the grammar of expressions (Jinja2's, operator by operator).
class ExprParser {
 public:
  ExprParser(std::vector<Token> tokens, const std::string& name) : tokens_(std::move(tokens)), name_(name) {}

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_op(std::string_view op) const { return peek().kind == TokenKind::op && peek().text == op; }
  bool is_name(std::string_view name) const { return peek().kind == TokenKind::name && peek().text == name; }
  bool take_op(std::string_view op);
  bool take_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  void expect(TokenKind kind, const char* what);
  std::string expect_any_name();
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void unsupported(const std::string& message) const;

  /// A conditional expression.
  ExprPtr expression();
  /// One expression, or several with commas between as a tuple. Without `conditional` an `if` ends it.
  ExprPtr tuple(bool conditional, bool parenthesized = false);
  /// | filter | filter ..., applied to `input` (null in filter blocks).
  ExprPtr filters(ExprPtr input, bool first_without_pipe);
  ExprPtr call(ExprPtr callee);
  ExprPtr unary(bool with_filters = true);

  /// Counts nesting of statements; throws Error(format) where it is too deep.
  void enter();
  void leave() { --nesting_; }

 private:
  struct Nested;
  ExprPtr finish(std::unique_ptr<Expr> e) const;
  std::unique_ptr<Expr> node(ExprKind kind) const;
  ExprPtr two(ExprKind kind, std::string op, ExprPtr left, ExprPtr right) const;
  ExprPtr or_expression();
  ExprPtr and_expression();
  ExprPtr not_expression();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr primary();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr e);
  ExprPtr subscript(ExprPtr e);
  ExprPtr subscript_part();
  ExprPtr postfix_filters(ExprPtr e);
  ExprPtr test(ExprPtr e);
  void arguments(Expr& e);
  bool tuple_ends() const;

  std::vector<Token> tokens_;
  const std::string& name_;
  size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace lorikeet::jinja
