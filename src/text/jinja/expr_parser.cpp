#include "text/jinja/expr_parser.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "core/error.h"

namespace lorikeet::jinja {
namespace {

constexpr int kMaxDepth = 400;    // of an expression's tree
constexpr int kMaxNesting = 120;  // of brackets, operators and blocks inside one another

constexpr std::string_view kComparisons[] = {"==", "!=", "<", "<=", ">", ">="};

}  // namespace

struct ExprParser::Nested {
  explicit Nested(ExprParser& p) : parser(p) { parser.enter(); }
  ~Nested() { parser.leave(); }
  ExprParser& parser;
};

void ExprParser::enter() {
  if (++nesting_ > kMaxNesting)
    fail(fmt::format("blocks and brackets are nested more than {} deep", kMaxNesting));
}

void ExprParser::fail(const std::string& message) const {
  throw Error(ErrorKind::format, message, fmt::format("{}, line {}", name_, peek().line));
}

void ExprParser::unsupported(const std::string& message) const {
  throw Error(ErrorKind::unsupported, message, fmt::format("{}, line {}", name_, peek().line),
              "no published chat template uses it");
}

bool ExprParser::take_op(std::string_view op) { return is_op(op) ? (take(), true) : false; }
bool ExprParser::take_name(std::string_view name) { return is_name(name) ? (take(), true) : false; }

void ExprParser::expect_op(std::string_view op) {
  if (!take_op(op)) fail(fmt::format("expected '{}', got '{}'", op, peek().text));
}
void ExprParser::expect_name(std::string_view name) {
  if (!take_name(name)) fail(fmt::format("expected '{}', got '{}'", name, peek().text));
}
void ExprParser::expect(TokenKind kind, const char* what) {
  if (peek().kind != kind) fail(fmt::format("expected {}, got '{}'", what, peek().text));
  take();
}
std::string ExprParser::expect_any_name() {
  if (peek().kind != TokenKind::name) fail(fmt::format("expected a name, got '{}'", peek().text));
  return take().text;
}

std::unique_ptr<Expr> ExprParser::node(ExprKind kind) const {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = peek().line;
  return e;
}

ExprPtr ExprParser::finish(std::unique_ptr<Expr> e) const {
  for (const ExprPtr& item : e->items) e->depth = std::max(e->depth, item ? item->depth + 1 : 1);
  for (const auto& [name, item] : e->named) e->depth = std::max(e->depth, item->depth + 1);
  if (e->depth > kMaxDepth) fail(fmt::format("an expression is more than {} operations deep", kMaxDepth));
  return e;
}

ExprPtr ExprParser::two(ExprKind kind, std::string op, ExprPtr left, ExprPtr right) const {
  auto e = node(kind);
  e->text = std::move(op);
  e->items.push_back(std::move(left));
  e->items.push_back(std::move(right));
  return finish(std::move(e));
}

ExprPtr ExprParser::expression() {
  const Nested nested(*this);
  ExprPtr value = or_expression();
  while (is_name("if")) {
    auto e = node(ExprKind::conditional);
    take();
    e->items.push_back(or_expression());
    e->items.push_back(std::move(value));
    e->items.push_back(take_name("else") ? expression() : nullptr);
    value = finish(std::move(e));
  }
  return value;
}

ExprPtr ExprParser::or_expression() {
  ExprPtr left = and_expression();
  while (take_name("or")) left = two(ExprKind::logical_or, "", std::move(left), and_expression());
  return left;
}

ExprPtr ExprParser::and_expression() {
  ExprPtr left = not_expression();
  while (take_name("and")) left = two(ExprKind::logical_and, "", std::move(left), not_expression());
  return left;
}

ExprPtr ExprParser::not_expression() {
  if (!is_name("not")) return comparison();
  const Nested nested(*this);
  auto e = node(ExprKind::logical_not);
  take();
  e->items.push_back(not_expression());
  return finish(std::move(e));
}

ExprPtr ExprParser::comparison() {
  auto e = node(ExprKind::compare);
  e->items.push_back(sum());
  for (;;) {
    if (peek().kind == TokenKind::op &&
        std::find(std::begin(kComparisons), std::end(kComparisons), peek().text) != std::end(kComparisons)) {
      e->operators.push_back(take().text);
    } else if (is_name("in")) {
      take();
      e->operators.push_back("in");
    } else if (is_name("not") && peek(1).kind == TokenKind::name && peek(1).text == "in") {
      take();
      take();
      e->operators.push_back("not in");
    } else {
      break;
    }
    e->items.push_back(sum());
  }
  if (e->operators.empty()) return std::move(e->items[0]);
  return finish(std::move(e));
}

ExprPtr ExprParser::sum() {
  ExprPtr left = concatenation();
  while (is_op("+") || is_op("-")) {
    std::string op = take().text;
    left = two(ExprKind::binary, std::move(op), std::move(left), concatenation());
  }
  return left;
}

ExprPtr ExprParser::concatenation() {
  ExprPtr first = product();
  if (!is_op("~")) return first;
  auto e = node(ExprKind::concat);
  e->items.push_back(std::move(first));
  while (take_op("~")) e->items.push_back(product());
  return finish(std::move(e));
}

ExprPtr ExprParser::product() {
  ExprPtr left = power();
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    std::string op = take().text;
    left = two(ExprKind::binary, std::move(op), std::move(left), power());
  }
  return left;
}

ExprPtr ExprParser::power() {
  ExprPtr left = unary();
  while (take_op("**")) left = two(ExprKind::binary, "**", std::move(left), unary());
  return left;
}

ExprPtr ExprParser::unary(bool with_filters) {
  const Nested nested(*this);
  ExprPtr value;
  if (is_op("-") || is_op("+")) {
    auto e = node(is_op("-") ? ExprKind::negative : ExprKind::positive);
    take();
    e->items.push_back(unary(false));
    value = finish(std::move(e));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? postfix_filters(std::move(value)) : std::move(value);
}

ExprPtr ExprParser::primary() {
  auto e = node(ExprKind::constant);
  const Token& t = peek();
  if (t.kind == TokenKind::name) {
    const std::string name = take().text;
    if (name == "true" || name == "True") {
      e->value = true;
    } else if (name == "false" || name == "False") {
      e->value = false;
    } else if (name != "none" && name != "None") {
      e->kind = ExprKind::name;
      e->text = name;
    }
    return e;
  }
  if (t.kind == TokenKind::string) {
    std::string text = take().text;
    while (peek().kind == TokenKind::string) text += take().text;
    e->value = std::move(text);
    return e;
  }
  if (t.kind == TokenKind::integer) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(t.text.data(), t.text.data() + t.text.size(), value);
    if (error != std::errc() || end != t.text.data() + t.text.size()) {
      fail(fmt::format("the number {} has more than 63 bits", t.text));
    }
    take();
    e->value = value;
    return e;
  }
  if (t.kind == TokenKind::real) {
    e->value = std::strtod(take().text.c_str(), nullptr);
    return e;
  }
  if (is_op("(")) {
    take();
    ExprPtr inner = tuple(true, true);
    expect_op(")");
    return inner;
  }
  if (is_op("[")) return list();
  if (is_op("{")) return dict();
  fail(t.kind == TokenKind::end || t.kind == TokenKind::block_end || t.kind == TokenKind::variable_end
           ? "expected an expression, got the end of the tag"
           : fmt::format("unexpected '{}'", t.text));
}

bool ExprParser::tuple_ends() const {
  return peek().kind == TokenKind::variable_end || peek().kind == TokenKind::block_end ||
         peek().kind == TokenKind::end || is_op(")") || is_name("recursive");
}

ExprPtr ExprParser::tuple(bool conditional, bool parenthesized) {
  auto e = node(ExprKind::tuple);
  bool comma = false;
  while (true) {
    if (!e->items.empty()) {
      if (!take_op(",")) break;
      comma = true;
    }
    if (tuple_ends()) break;
    e->items.push_back(conditional ? expression() : or_expression());
  }
  if (!comma) {
    if (!e->items.empty()) return std::move(e->items[0]);
    if (!parenthesized) fail(fmt::format("expected an expression, got '{}'", peek().text));
  }
  return finish(std::move(e));
}

ExprPtr ExprParser::list() {
  auto e = node(ExprKind::list);
  expect_op("[");
  while (!is_op("]")) {
    if (!e->items.empty()) expect_op(",");
    if (is_op("]")) break;
    e->items.push_back(expression());
  }
  expect_op("]");
  return finish(std::move(e));
}

ExprPtr ExprParser::dict() {
  auto e = node(ExprKind::dict);
  expect_op("{");
  while (!is_op("}")) {
    if (!e->items.empty()) expect_op(",");
    if (is_op("}")) break;
    e->items.push_back(expression());
    expect_op(":");
    e->items.push_back(expression());
  }
  expect_op("}");
  return finish(std::move(e));
}

ExprPtr ExprParser::postfix(ExprPtr value) {
  for (;;) {
    if (is_op(".") || is_op("[")) {
      value = subscript(std::move(value));
    } else if (is_op("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

ExprPtr ExprParser::subscript(ExprPtr value) {
  auto e = node(ExprKind::attribute);
  e->items.push_back(std::move(value));
  if (take_op(".")) {
    if (peek().kind == TokenKind::integer) {
      auto index = node(ExprKind::constant);
      index->value = static_cast<int64_t>(std::strtoll(take().text.c_str(), nullptr, 10));
      e->kind = ExprKind::subscript;
      e->items.push_back(std::move(index));
    } else {
      e->text = expect_any_name();
    }
    return finish(std::move(e));
  }
  expect_op("[");
  e->kind = ExprKind::subscript;
  ExprPtr start = is_op(":") ? nullptr : expression();
  if (is_op(":")) {
    e->kind = ExprKind::slice;
    e->items.push_back(std::move(start));
    e->items.push_back(nullptr);
    e->items.push_back(nullptr);
    take();
    if (!is_op("]") && !is_op(":")) e->items[2] = expression();
    if (take_op(":") && !is_op("]")) e->items[3] = expression();
  } else if (is_op(",")) {
    unsupported("a subscript with several parts is not supported");
  } else {
    e->items.push_back(std::move(start));
  }
  expect_op("]");
  return finish(std::move(e));
}

ExprPtr ExprParser::postfix_filters(ExprPtr value) {
  for (;;) {
    if (is_op("|")) {
      value = filters(std::move(value), false);
    } else if (is_name("is")) {
      value = test(std::move(value));
    } else if (is_op("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

ExprPtr ExprParser::filters(ExprPtr value, bool first_without_pipe) {
  bool first = first_without_pipe;
  while (first || is_op("|")) {
    if (!first) take();
    first = false;
    auto e = node(ExprKind::filter);
    e->text = expect_any_name();
    while (take_op(".")) e->text += "." + expect_any_name();
    e->items.push_back(std::move(value));
    if (is_op("(")) arguments(*e);
    value = finish(std::move(e));
  }
  return value;
}

ExprPtr ExprParser::call(ExprPtr callee) {
  auto e = node(ExprKind::call);
  e->items.push_back(std::move(callee));
  arguments(*e);
  return finish(std::move(e));
}

ExprPtr ExprParser::test(ExprPtr value) {
  auto e = node(ExprKind::test);
  expect_name("is");
  const bool negated = take_name("not");
  e->text = expect_any_name();
  while (take_op(".")) e->text += "." + expect_any_name();
  e->items.push_back(std::move(value));
  const Token& t = peek();
  const bool literal = t.kind == TokenKind::string || t.kind == TokenKind::integer ||
                       t.kind == TokenKind::real || is_op("[") || is_op("{");
  if (is_op("(")) {
    arguments(*e);
  } else if (literal ||
             (t.kind == TokenKind::name && !is_name("else") && !is_name("or") && !is_name("and"))) {
    if (is_name("is")) fail("tests cannot be chained with is");
    e->items.push_back(postfix(primary()));
  }
  if (!negated) return finish(std::move(e));
  auto n = node(ExprKind::logical_not);
  n->items.push_back(finish(std::move(e)));
  return finish(std::move(n));
}

void ExprParser::arguments(Expr& e) {
  const Nested nested(*this);
  expect_op("(");
  bool first = true;
  while (!is_op(")")) {
    if (!first) expect_op(",");
    if (is_op(")")) break;
    first = false;
    if (is_op("*") || is_op("**")) unsupported("calls with *arguments are not supported");
    if (peek().kind == TokenKind::name && peek(1).kind == TokenKind::op && peek(1).text == "=") {
      std::string name = take().text;
      take();
      e.named.emplace_back(std::move(name), expression());
    } else {
      if (!e.named.empty()) fail("a positional argument follows a named one");
      e.items.push_back(expression());
    }
  }
  expect_op(")");
}

}  // namespace lorikeet::jinja
