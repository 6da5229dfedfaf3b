#include "text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "core/error.h"
#include "text/jinja/expr_parser.h"

namespace lorikeet::jinja {
namespace {

constexpr std::string_view kUnsupportedTags[] = {"include",    "import", "from",  "extends", "block",
                                                 "autoescape", "print",  "trans", "do"};
constexpr size_t kMaxSourceBytes = 4u << 20;

class Parser {
 public:
  Parser(std::vector<Token> tokens, Program& program)
      : p_(std::move(tokens), program.name), program_(program) {}

  void run() {
    std::string ended_by;
    program_.body = block({}, &ended_by);
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  std::unique_ptr<Stmt> node(StmtKind kind) const {
    auto s = std::make_unique<Stmt>();
    s->kind = kind;
    s->line = p_.peek().line;
    return s;
  }

  // Statements up to {% end %}, whose name is taken and given; its tag stays open.
  Block block(Ends ends, std::string* ended_by) {
    Block out;
    while (p_.peek().kind != TokenKind::end) {
      const TokenKind kind = p_.peek().kind;
      if (kind == TokenKind::data) {
        auto s = node(StmtKind::text);
        s->text = p_.take().text;
        out.push_back(std::move(s));
      } else if (kind == TokenKind::variable_begin) {
        auto s = node(StmtKind::output);
        p_.take();
        s->exprs.push_back(p_.tuple(true));
        p_.expect(TokenKind::variable_end, "'}}'");
        out.push_back(std::move(s));
      } else {
        p_.expect(TokenKind::block_begin, "'{%'");
        for (const std::string_view end : ends) {
          if (!p_.is_name(end)) continue;
          *ended_by = p_.take().text;
          return out;
        }
        p_.enter();
        out.push_back(statement());
        p_.leave();
      }
    }
    if (ends.size() != 0) p_.fail(fmt::format("the template ends where '{}' is missing", *(ends.end() - 1)));
    return out;
  }

  Block body(Ends ends, std::string* ended_by) {
    p_.expect(TokenKind::block_end, "'%}'");
    return block(ends, ended_by);
  }
  Block body(std::string_view end) {
    std::string ended_by;
    Block out = body({end}, &ended_by);
    p_.expect(TokenKind::block_end, "'%}'");
    return out;
  }

  std::unique_ptr<const Stmt> statement() {
    struct Tag {
      std::string_view name;
      std::unique_ptr<const Stmt> (Parser::*parse)();
    };
    static constexpr Tag kTags[] = {
        {"if", &Parser::if_else},       {"for", &Parser::for_loop},
        {"set", &Parser::set},          {"macro", &Parser::macro},
        {"call", &Parser::call_block},  {"filter", &Parser::filter_block},
        {"with", &Parser::with},        {"generation", &Parser::generation},
        {"break", &Parser::break_loop}, {"continue", &Parser::continue_loop},
    };
    for (const Tag& tag : kTags) {
      if (p_.is_name(tag.name)) return (this->*tag.parse)();
    }
    for (const std::string_view tag : kUnsupportedTags) {
      if (p_.is_name(tag))
        p_.unsupported(fmt::format("the tag '{}' is not supported in chat templates", tag));
    }
    p_.fail(fmt::format("unknown tag '{}'", p_.peek().text));
  }

  std::unique_ptr<const Stmt> if_else() {
    auto s = node(StmtKind::if_else);
    std::string tag = "if";
    p_.take();
    while (tag != "endif") {
      if (tag != "else") s->exprs.push_back(p_.tuple(true));
      const bool last = tag == "else";
      s->blocks.push_back(last ? body({"endif"}, &tag) : body({"elif", "else", "endif"}, &tag));
    }
    p_.expect(TokenKind::block_end, "'%}'");
    return s;
  }

  std::unique_ptr<const Stmt> for_loop() {
    auto s = node(StmtKind::for_loop);
    p_.take();
    s->target = target(false);
    p_.expect_name("in");
    s->exprs.push_back(p_.tuple(false));
    s->exprs.push_back(p_.take_name("if") ? p_.expression() : nullptr);
    if (p_.is_name("recursive")) p_.unsupported("recursive loops are not supported");
    std::string tag;
    ++loops_;
    s->blocks.push_back(body({"else", "endfor"}, &tag));
    --loops_;
    if (tag == "else") s->blocks.push_back(body({"endfor"}, &tag));
    p_.expect(TokenKind::block_end, "'%}'");
    return s;
  }

  Target one_target(bool member_allowed) {
    Target t;
    if (p_.take_op("(")) {
      t = target(member_allowed);
      p_.expect_op(")");
      return t;
    }
    t.name = p_.expect_any_name();
    for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
      if (t.name == constant) p_.fail(fmt::format("cannot assign to '{}'", t.name));
    }
    if (member_allowed && p_.take_op(".")) t.member = p_.expect_any_name();
    return t;
  }

  Target target(bool member_allowed) {
    p_.enter();
    Target first = one_target(member_allowed);
    Target out;
    if (p_.is_op(",")) {
      out.parts.push_back(std::move(first));
      while (p_.take_op(",")) {
        if (p_.is_name("in") || p_.is_op("=")) break;
        out.parts.push_back(one_target(member_allowed));
      }
    } else {
      out = std::move(first);
    }
    p_.leave();
    return out;
  }

  std::unique_ptr<const Stmt> set() {
    auto s = node(StmtKind::set);
    p_.take();
    s->target = target(true);
    if (p_.take_op("=")) {
      s->exprs.push_back(p_.tuple(true));
      p_.expect(TokenKind::block_end, "'%}'");
      return s;
    }
    s->kind = StmtKind::set_block;
    s->exprs.push_back(p_.is_op("|") ? p_.filters(nullptr, false) : nullptr);
    s->blocks.push_back(body("endset"));
    return s;
  }

  void parameters(Stmt& s) {
    p_.expect_op("(");
    while (!p_.is_op(")")) {
      if (!s.parameters.empty()) p_.expect_op(",");
      if (p_.is_op(")")) break;
      Parameter parameter;
      parameter.name = p_.expect_any_name();
      if (p_.take_op("=")) {
        parameter.fallback = p_.expression();
      } else if (!s.parameters.empty() && s.parameters.back().fallback) {
        p_.fail("a parameter without default follows one with a default");
      }
      s.parameters.push_back(std::move(parameter));
    }
    p_.expect_op(")");
  }

  // The body of something that is called; notes which of the special names it uses.
  void called_body(Stmt& s, std::string_view end) {
    const bool outer[] = {saw_varargs_, saw_kwargs_, saw_caller_};
    saw_varargs_ = saw_kwargs_ = saw_caller_ = false;
    const int loops = loops_;
    loops_ = 0;
    s.blocks.push_back(body(end));
    loops_ = loops;
    find_special_names(s.blocks[0]);
    s.takes_varargs = saw_varargs_, s.takes_kwargs = saw_kwargs_, s.takes_caller = saw_caller_;
    saw_varargs_ = outer[0], saw_kwargs_ = outer[1], saw_caller_ = outer[2];
  }

  void find_special_names(const Block& b) {
    for (const auto& s : b) {
      for (const ExprPtr& e : s->exprs) find_special_names(e.get());
      for (const Block& inner : s->blocks) find_special_names(inner);
    }
  }
  void find_special_names(const Expr* e) {
    if (!e) return;
    if (e->kind == ExprKind::name) {
      saw_varargs_ |= e->text == "varargs";
      saw_kwargs_ |= e->text == "kwargs";
      saw_caller_ |= e->text == "caller";
    }
    for (const ExprPtr& item : e->items) find_special_names(item.get());
    for (const auto& [name, item] : e->named) find_special_names(item.get());
  }

  std::unique_ptr<const Stmt> macro() {
    auto s = node(StmtKind::macro);
    p_.take();
    s->text = p_.expect_any_name();
    parameters(*s);
    called_body(*s, "endmacro");
    return s;
  }

  std::unique_ptr<const Stmt> call_block() {
    auto s = node(StmtKind::call_block);
    p_.take();
    if (p_.is_op("(")) parameters(*s);
    ExprPtr call = p_.expression();
    if (call->kind != ExprKind::call) p_.fail("expected a call");
    s->exprs.push_back(std::move(call));
    called_body(*s, "endcall");
    return s;
  }

  std::unique_ptr<const Stmt> filter_block() {
    auto s = node(StmtKind::filter_block);
    p_.take();
    s->exprs.push_back(p_.filters(nullptr, true));
    s->blocks.push_back(body("endfilter"));
    return s;
  }

  std::unique_ptr<const Stmt> with() {
    auto s = node(StmtKind::with);
    p_.take();
    while (p_.peek().kind != TokenKind::block_end) {
      if (!s->targets.empty()) p_.expect_op(",");
      s->targets.push_back(one_target(false));
      p_.expect_op("=");
      s->exprs.push_back(p_.expression());
    }
    s->blocks.push_back(body("endwith"));
    return s;
  }

  std::unique_ptr<const Stmt> generation() {
    auto s = node(StmtKind::generation);
    p_.take();
    program_.marks_generation = true;
    const int loops = loops_;
    loops_ = 0;  // the block is a function of its own: no break leaves it
    s->blocks.push_back(body("endgeneration"));
    loops_ = loops;
    return s;
  }

  std::unique_ptr<const Stmt> leave_loop(StmtKind kind) {
    auto s = node(kind);
    const std::string tag = p_.take().text;
    if (loops_ == 0) p_.fail(fmt::format("'{}' outside a loop", tag));
    p_.expect(TokenKind::block_end, "'%}'");
    return s;
  }
  std::unique_ptr<const Stmt> break_loop() { return leave_loop(StmtKind::break_loop); }
  std::unique_ptr<const Stmt> continue_loop() { return leave_loop(StmtKind::continue_loop); }

  ExprParser p_;
  Program& program_;
  int loops_ = 0;
  bool saw_varargs_ = false, saw_kwargs_ = false, saw_caller_ = false;
};

}  // namespace

std::shared_ptr<const Program> parse_template(const std::string& source, const std::string& name) {
  if (source.size() > kMaxSourceBytes) {
    throw Error(ErrorKind::format,
                fmt::format("the template has {} bytes, more than {}", source.size(), kMaxSourceBytes), name);
  }
  auto program = std::make_shared<Program>();
  program->name = name;
  program->source = source;
  Parser(tokenize_template(source, name), *program).run();
  return program;
}

}  // namespace lorikeet::jinja
