// Statements, scopes and macros.
#include "text/jinja/interpreter.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python_text.h"

namespace lorikeet::jinja {

// A macro, or the body of a call block (name "caller").
class Macro : public Callable {
 public:
  Macro(const Stmt& stmt, std::shared_ptr<Scope> scope, std::string name)
      : stmt_(stmt), scope_(std::move(scope)), name_(std::move(name)) {}
  Value call(Interpreter& in, const Arguments& arguments) const override {
    return in.run_macro(stmt_, scope_, name_, arguments);
  }
  std::string name() const override { return name_; }

 private:
  const Stmt& stmt_;
  std::shared_ptr<Scope> scope_;
  std::string name_;
};

Interpreter::Depth::Depth(Interpreter& in) : in(in) {
  if (++in.depth_ > in.limits_.depth) {
    --in.depth_;
    throw Error(ErrorKind::resource,
                fmt::format("the template nests calls more than {} deep", in.limits_.depth),
                fmt::format("{}, line {}", in.program_.name, in.line_));
  }
}

Interpreter::~Interpreter() {
  for (const auto& ns : namespaces_) ns->members.clear();
  for (const auto& scope : macro_scopes_) scope->variables.clear();
}

void Interpreter::keep(std::shared_ptr<Namespace> ns) {
  charge(256);
  namespaces_.push_back(std::move(ns));
}

Rendered Interpreter::run(const Json& variables) {
  scope_ = std::make_shared<Scope>(nullptr);
  for (const auto& [name, value] : variables.items()) set_variable(name, from_json(value));
  // The template's own variables lie in a scope inside that of the caller's.
  scope_ = std::make_shared<Scope>(scope_);
  run(program_.body);
  Rendered out;
  out.text = std::move(main_output_);
  if (spans_known_) out.generation_spans = std::move(spans_);
  out.spans_known = spans_known_;
  return out;
}

void Interpreter::charge(size_t bytes) {
  steps_ += 1 + bytes / 8;
  if (steps_ > limits_.steps) {
    throw Error(ErrorKind::resource, fmt::format("the template takes more than {} steps", limits_.steps),
                fmt::format("{}, line {}", program_.name, line_));
  }
}

void Interpreter::charge_text(size_t bytes) {
  if (bytes > limits_.output_bytes) {
    throw Error(
        ErrorKind::resource,
        fmt::format("the template makes a text of {} bytes, more than {}", bytes, limits_.output_bytes),
        fmt::format("{}, line {}", program_.name, line_));
  }
  charge(bytes);
}

void Interpreter::fail(const std::string& message) const {
  throw Error(ErrorKind::format, message, fmt::format("{}, line {}", program_.name, line_));
}

void Interpreter::unsupported(const std::string& message) const {
  throw Error(ErrorKind::unsupported, message, fmt::format("{}, line {}", program_.name, line_));
}

const Value& Interpreter::defined(const Value& value) const {
  if (value.is_undefined()) fail(*value.get<Undefined>().reason);
  return value;
}

void Interpreter::write(std::string_view text) {
  if (text.size() > limits_.output_bytes - std::min(limits_.output_bytes, output_->size())) {
    charge_text(output_->size() + text.size());
  }
  charge(text.size());
  *output_ += text;
}

Value Interpreter::variable(const std::string& name) const {
  for (const Scope* s = scope_.get(); s; s = s->outer.get()) {
    for (const auto& [key, value] : s->variables) {
      if (key == name) return value;
    }
  }
  if (std::optional<Value> global = find_global(name)) return *global;
  return undefined_name(name);
}

void Interpreter::set_variable(const std::string& name, Value value) {
  for (auto& [key, old] : scope_->variables) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(name, std::move(value));
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const std::vector<Value> values = iterate(value);
    if (values.size() != target.parts.size()) {
      fail(fmt::format("cannot unpack {} values into {} names", values.size(), target.parts.size()));
    }
    for (size_t i = 0; i < values.size(); ++i) assign(target.parts[i], values[i]);
    return;
  }
  if (target.member.empty()) return set_variable(target.name, value);
  const Value holder = variable(target.name);
  const auto* ns = holder.get_if<std::shared_ptr<Namespace>>();
  if (!ns) fail("cannot assign attribute on non-namespace object");
  if (target.member.starts_with('_')) fail("a namespace member cannot begin with an underscore");
  for (auto& [key, old] : (*ns)->members) {
    if (key == target.member) {
      old = value;
      return;
    }
  }
  (*ns)->members.emplace_back(target.member, value);
}

Interpreter::Flow Interpreter::run(const Block& block) {
  for (const auto& stmt : block) {
    if (const Flow flow = run(*stmt); flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Stmt& s) {
  const Depth depth(*this);
  charge();
  line_ = s.line;
  switch (s.kind) {
    case StmtKind::text:
      write(s.text);
      break;
    case StmtKind::output:
      write(to_str(*this, evaluate(*s.exprs[0])));
      break;
    case StmtKind::if_else:
      return run_if(s);
    case StmtKind::for_loop:
      return run_for(s);
    case StmtKind::set:
      assign(s.target, evaluate(*s.exprs[0]));
      break;
    case StmtKind::set_block: {
      Value text = capture(s.blocks[0], scope_);
      assign(s.target, s.exprs[0] ? apply_filters(*s.exprs[0], text) : text);
      break;
    }
    case StmtKind::macro:
      set_variable(s.text, make_macro(s, s.text));
      break;
    case StmtKind::call_block:
      run_call_block(s);
      break;
    case StmtKind::filter_block:
      write(to_str(*this, apply_filters(*s.exprs[0], capture(s.blocks[0], scope_))));
      break;
    case StmtKind::with: {
      std::vector<Value> values;
      for (const ExprPtr& e : s.exprs) values.push_back(evaluate(*e));
      const std::shared_ptr<Scope> outer = scope_;
      scope_ = std::make_shared<Scope>(outer);
      for (size_t i = 0; i < values.size(); ++i) assign(s.targets[i], values[i]);
      const Flow flow = run(s.blocks[0]);
      scope_ = outer;
      return flow;
    }
    case StmtKind::generation:
      run_generation(s);
      break;
    case StmtKind::break_loop:
      return Flow::break_loop;
    case StmtKind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_if(const Stmt& s) {
  for (size_t i = 0; i < s.exprs.size(); ++i) {
    if (truth(evaluate(*s.exprs[i]))) return run(s.blocks[i]);
  }
  return s.blocks.size() > s.exprs.size() ? run(s.blocks.back()) : Flow::normal;
}

Interpreter::Flow Interpreter::run_for(const Stmt& s) {
  auto items = std::make_shared<std::vector<Value>>(iterate(evaluate(*s.exprs[0])));
  const std::shared_ptr<Scope> outer = scope_;
  if (s.exprs[1]) {
    std::vector<Value> kept;
    for (Value& item : *items) {
      scope_ = std::make_shared<Scope>(outer);
      assign(s.target, item);
      if (truth(evaluate(*s.exprs[1]))) kept.push_back(std::move(item));
    }
    *items = std::move(kept);
    scope_ = outer;
  }
  if (items->empty()) {
    if (s.blocks.size() < 2) return Flow::normal;
    scope_ = std::make_shared<Scope>(outer);
    const Flow flow = run(s.blocks[1]);
    scope_ = outer;
    return flow;
  }
  const int depth = depth_around(*items);
  for (size_t i = 0; i < items->size(); ++i) {
    charge(sizeof(Scope));
    auto loop = std::make_shared<Loop>();
    loop->items = items;
    loop->index = i;
    loop->depth = depth;
    scope_ = std::make_shared<Scope>(outer);
    set_variable("loop", std::shared_ptr<const Loop>(std::move(loop)));
    assign(s.target, (*items)[i]);
    if (run(s.blocks[0]) == Flow::break_loop) break;
  }
  scope_ = outer;
  return Flow::normal;
}

std::string Interpreter::capture(const Block& block, std::shared_ptr<Scope> scope) {
  std::string text;
  std::string* const outer_output = std::exchange(output_, &text);
  const std::shared_ptr<Scope> outer_scope = std::exchange(scope_, std::make_shared<Scope>(std::move(scope)));
  run(block);
  output_ = outer_output;
  scope_ = outer_scope;
  return text;
}

void Interpreter::run_generation(const Stmt& s) {
  const size_t begin = main_output_.size();
  const std::string text = capture(s.blocks[0], scope_);
  // Inside a macro or set block nobody knows where the text will go.
  if (output_ != &main_output_) spans_known_ = false;
  if (!text.empty()) spans_.push_back({begin, begin + text.size()});
  write(text);
}

Value Interpreter::make_macro(const Stmt& s, const std::string& name) {
  if (macro_scopes_.empty() || macro_scopes_.back() != scope_) {
    charge(256);
    macro_scopes_.push_back(scope_);
  }
  return std::shared_ptr<const Callable>(std::make_shared<Macro>(s, scope_, name));
}

void Interpreter::run_call_block(const Stmt& s) {
  const Expr& e = *s.exprs[0];
  const Value callee = evaluate(*e.items[0]);
  Arguments args = arguments(e, 1);
  args.named.emplace_back("caller", make_macro(s, "caller"));
  write(to_str(*this, call(callee, args)));
}

Value Interpreter::run_macro(const Stmt& s, const std::shared_ptr<Scope>& scope, const std::string& name,
                             const Arguments& args) {
  const Depth depth(*this);
  charge(sizeof(Scope));
  const int line = line_;
  auto inner = std::make_shared<Scope>(scope);
  std::vector<bool> given(s.parameters.size(), false);
  for (size_t i = 0; i < std::min(args.positional.size(), s.parameters.size()); ++i) {
    inner->variables.emplace_back(s.parameters[i].name, args.positional[i]);
    given[i] = true;
  }
  std::vector<Value> extra(
      args.positional.begin() + static_cast<ptrdiff_t>(std::min(args.positional.size(), s.parameters.size())),
      args.positional.end());
  if (!extra.empty() && !s.takes_varargs) {
    fail(fmt::format("macro '{}' takes not more than {} argument(s)", name, s.parameters.size()));
  }
  Dict unknown;
  Value caller = undefined("No caller defined");
  bool has_caller = false;
  for (const auto& [key, value] : args.named) {
    size_t i = 0;
    while (i < s.parameters.size() && s.parameters[i].name != key) ++i;
    if (i < s.parameters.size()) {
      if (given[i]) fail(fmt::format("macro '{}' got multiple values for argument '{}'", name, key));
      inner->variables.emplace_back(key, value);
      given[i] = true;
    } else if (key == "caller" && s.takes_caller) {
      caller = value;
      has_caller = true;
    } else if (key == "caller") {
      fail(
          fmt::format("macro '{}' was invoked with two values for the special caller argument. This is most "
                      "likely a bug.",
                      name));
    } else {
      unknown.set(key, value);
    }
  }
  if (unknown.size() != 0 && !s.takes_kwargs) {
    fail(fmt::format("macro '{}' takes no keyword argument '{}'", name, unknown.entries()[0].first.text()));
  }
  if (s.takes_caller && (has_caller || caller.is_undefined()))
    inner->variables.emplace_back("caller", caller);
  if (s.takes_varargs) {
    inner->variables.emplace_back("varargs", make_sequence(std::move(extra), Sequence::Kind::tuple));
  }
  if (s.takes_kwargs) inner->variables.emplace_back("kwargs", make_dict(std::move(unknown)));
  const std::shared_ptr<Scope> outer = std::exchange(scope_, inner);
  for (size_t i = 0; i < s.parameters.size(); ++i) {
    if (given[i]) continue;
    const Parameter& p = s.parameters[i];
    Value value = p.fallback ? evaluate(*p.fallback)
                             : undefined(fmt::format("parameter '{}' was not provided", p.name));
    inner->variables.emplace_back(p.name, std::move(value));
  }
  scope_ = outer;
  std::string text = capture(s.blocks[0], inner);
  line_ = line;
  return text;
}

}  // namespace lorikeet::jinja
