// Expressions.
#include <fmt/core.h>

#include "core/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/python_text.h"
#include "text/jinja/strings.h"

namespace lorikeet::jinja {
namespace {

// How Jinja2 names a value that lacks something.
std::string owner(const Value& v) { return v.is_none() ? "None" : type_name(v) + " object"; }

// What the loop variable knows.
Value loop_member(const Loop& loop, const std::string& name) {
  const auto i = static_cast<int64_t>(loop.index), n = static_cast<int64_t>(loop.items->size());
  if (name == "index") return i + 1;
  if (name == "index0") return i;
  if (name == "revindex") return n - i;
  if (name == "revindex0") return n - i - 1;
  if (name == "first") return i == 0;
  if (name == "last") return i + 1 == n;
  if (name == "length") return n;
  if (name == "depth") return int64_t{1};
  if (name == "depth0") return int64_t{0};
  if (name == "previtem") {
    return i > 0 ? (*loop.items)[loop.index - 1] : undefined("there is no previous item");
  }
  if (name == "nextitem")
    return i + 1 < n ? (*loop.items)[loop.index + 1] : undefined("there is no next item");
  return undefined(fmt::format("'LoopContext object' has no attribute '{}'", name));
}

}  // namespace

Value Interpreter::evaluate(const Expr& e) {
  const Depth depth(*this);
  charge();
  line_ = e.line;
  return evaluate_here(e);
}

Value Interpreter::evaluate_here(const Expr& e) {
  switch (e.kind) {
    case ExprKind::constant:
      return e.value;
    case ExprKind::name:
      return variable(e.text);
    case ExprKind::list:
    case ExprKind::tuple: {
      std::vector<Value> items;
      for (const ExprPtr& item : e.items) items.push_back(evaluate(*item));
      charge(items.size() * sizeof(Value));
      return make_sequence(std::move(items),
                           e.kind == ExprKind::list ? Sequence::Kind::list : Sequence::Kind::tuple);
    }
    case ExprKind::dict: {
      Dict out;
      for (size_t i = 0; i < e.items.size(); i += 2) {
        Value key = evaluate(*e.items[i]);
        if (key.sequence() || key.dict()) fail(fmt::format("unhashable type: '{}'", type_name(key)));
        out.set(std::move(key), evaluate(*e.items[i + 1]));
      }
      charge(e.items.size() * sizeof(Value));
      return make_dict(std::move(out));
    }
    case ExprKind::negative:
      return negative(*this, evaluate(*e.items[0]));
    case ExprKind::positive: {
      const Value v = evaluate(*e.items[0]);
      if (!v.is_number()) fail(fmt::format("bad operand type for unary +: '{}'", type_name(defined(v))));
      return v.is<bool>() ? Value(v.integer()) : v;
    }
    case ExprKind::logical_not:
      return !truth(evaluate(*e.items[0]));
    case ExprKind::logical_and: {
      const Value left = evaluate(*e.items[0]);
      return truth(left) ? evaluate(*e.items[1]) : left;
    }
    case ExprKind::logical_or: {
      const Value left = evaluate(*e.items[0]);
      return truth(left) ? left : evaluate(*e.items[1]);
    }
    case ExprKind::binary: {
      const Value left = evaluate(*e.items[0]);
      return binary(*this, e.text, left, evaluate(*e.items[1]));
    }
    case ExprKind::concat: {
      std::string out;
      for (const ExprPtr& item : e.items) {
        out += to_str(*this, evaluate(*item));
        if (out.size() > limits_.output_bytes) charge_text(out.size());
      }
      charge_text(out.size());
      return out;
    }
    case ExprKind::compare:
      return compare(e);
    case ExprKind::conditional:
      if (truth(evaluate(*e.items[0]))) return evaluate(*e.items[1]);
      return e.items[2]
                 ? evaluate(*e.items[2])
                 : undefined("the inline if-expression evaluated to false and no else section was defined.");
    case ExprKind::attribute:
      return attribute(evaluate(*e.items[0]), e.text);
    case ExprKind::subscript: {
      const Value holder = evaluate(*e.items[0]);
      return item(holder, evaluate(*e.items[1]));
    }
    case ExprKind::slice:
      return slice(e);
    case ExprKind::call: {
      const Value callee = evaluate(*e.items[0]);
      return call(callee, arguments(e, 1));
    }
    case ExprKind::filter:
      return filter(e.text, e.items[0] ? evaluate(*e.items[0]) : Value(), arguments(e, 1));
    case ExprKind::test: {
      const Value v = evaluate(*e.items[0]);
      return test(e.text, v, arguments(e, 1));
    }
  }
  return Value();
}

Arguments Interpreter::arguments(const Expr& e, size_t first) {
  Arguments out;
  for (size_t i = first; i < e.items.size(); ++i) out.positional.push_back(evaluate(*e.items[i]));
  for (const auto& [name, value] : e.named) out.named.emplace_back(name, evaluate(*value));
  return out;
}

Value Interpreter::apply_filters(const Expr& e, const Value& input) {
  const Depth depth(*this);
  const Value value = e.items[0] ? apply_filters(*e.items[0], input) : input;
  return filter(e.text, value, arguments(e, 1));
}

Value Interpreter::compare(const Expr& e) {
  Value left = evaluate(*e.items[0]);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(*e.items[i + 1]);
    const std::string& op = e.operators[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(*this, left, right) == (op == "==");
    } else if (op == "<") {
      holds = less(*this, left, right);
    } else if (op == ">") {
      holds = less(*this, right, left);
    } else if (op == "<=") {
      holds = less(*this, left, right) || equal(*this, left, right);
    } else if (op == ">=") {
      holds = less(*this, right, left) || equal(*this, left, right);
    } else {
      holds = contains(*this, right, left) == (op == "in");
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::slice(const Expr& e) {
  const Value value = evaluate(*e.items[0]);
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (e.items[i + 1]) bounds[i] = evaluate(*e.items[i + 1]);
  }
  return slice_of(*this, value, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::attribute(const Value& value, const std::string& name) {
  defined(value);
  if (const std::optional<Value> method = find_method(value, name)) return *method;
  if (const auto* ns = value.get_if<std::shared_ptr<Namespace>>()) {
    const Value* member = (*ns)->find(name);
    return member ? *member : undefined(fmt::format("'Namespace object' has no attribute '{}'", name));
  }
  if (const auto* loop = value.get_if<std::shared_ptr<const Loop>>()) return loop_member(**loop, name);
  if (const Dict* d = value.dict()) {
    if (const Value* member = d->find(std::string_view(name))) return *member;
  }
  return undefined(fmt::format("'{}' has no attribute '{}'", owner(value), name));
}

Value Interpreter::item(const Value& value, const Value& key) {
  defined(value);
  charge();
  if (const Dict* d = value.dict()) {
    if (const Value* member = d->find(key)) return *member;
  } else if (key.is_integer()) {
    const Sequence* s = value.sequence();
    const bool indexed = s && (s->kind == Sequence::Kind::list || s->kind == Sequence::Kind::tuple ||
                               s->kind == Sequence::Kind::range);
    if (indexed) {
      const int64_t at = place(key.integer(), static_cast<int64_t>(s->items.size()));
      if (at >= 0) return s->items[static_cast<size_t>(at)];
    } else if (value.is_text()) {
      const std::string& text = value.text();
      const int64_t at = place(key.integer(), character_count(text));
      charge(text.size());
      if (at >= 0) {
        const size_t begin = byte_offset(text, at);
        return text_like(value, text.substr(begin, byte_offset(std::string_view(text).substr(begin), 1)));
      }
    }
  }
  if (key.is_text()) {
    if (const std::optional<Value> method = find_method(value, key.text())) return *method;
    if (value.is<std::shared_ptr<Namespace>>() || value.is<std::shared_ptr<const Loop>>()) {
      return attribute(value, key.text());
    }
    return undefined(fmt::format("'{}' has no attribute '{}'", owner(value), key.text()));
  }
  return undefined(fmt::format("{} has no element {}", owner(value), to_repr(*this, key)));
}

std::vector<Value> Interpreter::iterate(const Value& v) {
  if (v.is_undefined()) return {};
  std::vector<Value> out;
  if (const Sequence* s = v.sequence()) {
    out = s->items;
  } else if (const Dict* d = v.dict()) {
    for (const auto& [key, value] : d->entries()) out.push_back(key);
  } else if (v.is_text()) {
    charge(v.text().size());
    for (const std::string_view c : split_characters(v.text())) out.push_back(text_like(v, std::string(c)));
  } else if (Generator* g = v.generator()) {
    out.assign(g->items.begin() + static_cast<ptrdiff_t>(g->next), g->items.end());
    g->next = g->items.size();
  } else if (const auto* loop = v.get_if<std::shared_ptr<const Loop>>()) {
    unsupported(fmt::format("going through the loop variable (of {} items) is not supported",
                            (*loop)->items->size()));
  } else {
    fail(fmt::format("'{}' object is not iterable", type_name(v)));
  }
  charge(out.size() * sizeof(Value));
  return out;
}

Value Interpreter::call(const Value& callee, const Arguments& args) {
  defined(callee);
  const auto* function = callee.get_if<std::shared_ptr<const Callable>>();
  if (!function) fail(fmt::format("'{}' object is not callable", type_name(callee)));
  const std::shared_ptr<const Callable> kept = *function;
  return kept->call(*this, args);
}

Value Interpreter::filter(const std::string& name, const Value& value, const Arguments& args) {
  const FilterFunction f = find_filter(name);
  if (!f) fail(fmt::format("No filter named '{}'.", name));
  charge();
  return f(*this, value, args);
}

bool Interpreter::test(const std::string& name, const Value& value, const Arguments& args) {
  const TestFunction f = find_test(name);
  if (!f) fail(fmt::format("No test named '{}'.", name));
  charge();
  return f(*this, value, args);
}

}  // namespace lorikeet::jinja
