#include "text/jinja/operators.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/python_text.h"
#include "text/jinja/strings.h"

namespace lorikeet::jinja {
namespace {

[[noreturn]] void bad_operands(Interpreter& in, const std::string& op, const Value& a, const Value& b) {
  in.defined(a);
  in.defined(b);
  if (op == "+" && a.is_text())
    in.fail(fmt::format("can only concatenate str (not \"{}\") to str", type_name(b)));
  const char* shown = op == "**" ? "** or pow()" : op.c_str();
  in.fail(
      fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", shown, type_name(a), type_name(b)));
}

bool is_list(const Value& v) { return v.sequence() && v.sequence()->kind == Sequence::Kind::list; }
bool is_tuple(const Value& v) { return v.sequence() && v.sequence()->kind == Sequence::Kind::tuple; }

Value add_texts(Interpreter& in, const Value& a, const Value& b) {
  in.charge_text(a.text().size() + b.text().size());
  const bool html = a.is_markup() || b.is_markup();
  const auto part = [&](const Value& v) { return html && !v.is_markup() ? escape_html(v.text()) : v.text(); };
  std::string out = part(a) + part(b);
  return html ? markup(std::move(out)) : Value(std::move(out));
}

Value repeated(Interpreter& in, const Value& v, int64_t times) {
  const auto n = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (v.is_text()) {
    const size_t size = v.text().size();
    if (size != 0 && n > (size_t{1} << 40) / size) in.fail("a repeated text is too long");
    in.charge_text(n * size);
    std::string out;
    out.reserve(n * size);
    for (size_t i = 0; i < n && size != 0; ++i) out += v.text();
    return text_like(v, std::move(out));
  }
  const Sequence& s = *v.sequence();
  if (!s.items.empty() && n > (size_t{1} << 32) / s.items.size()) in.fail("a repeated list is too long");
  in.charge_text(n * s.items.size() * sizeof(Value));
  std::vector<Value> items;
  for (size_t i = 0; i < n && !s.items.empty(); ++i)
    items.insert(items.end(), s.items.begin(), s.items.end());
  return make_sequence(std::move(items), s.kind);
}

Value floor_divide(Interpreter& in, int64_t a, int64_t b) {
  if (b == 0) in.fail("integer division or modulo by zero");
  if (b == -1) {
    if (a == INT64_MIN) in.fail("integer overflow");
    return -a;
  }
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

Value modulo(Interpreter& in, int64_t a, int64_t b) {
  if (b == 0) in.fail("integer modulo by zero");
  if (b == -1) return int64_t{0};
  const int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

Value power(Interpreter& in, int64_t base, int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  int64_t out = 1;
  for (int64_t i = 0; i < exponent && out != 0; ++i) {
    in.charge();
    if (__builtin_mul_overflow(out, base, &out)) in.fail("integer overflow");
    if (base == 1 || (base == -1 && i + 1 == exponent % 2)) break;
  }
  return out;
}

Value integers(Interpreter& in, const std::string& op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &out);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &out);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &out);
  } else if (op == "//") {
    return floor_divide(in, a, b);
  } else if (op == "%") {
    return modulo(in, a, b);
  } else if (op == "**") {
    return power(in, a, b);
  } else {
    if (b == 0) in.fail("division by zero");
    return static_cast<double>(a) / static_cast<double>(b);
  }
  if (overflow) in.unsupported("a whole number has more than 63 bits");
  return out;
}

Value reals(Interpreter& in, const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) in.fail(op == "/" ? "float division by zero" : "float modulo");
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

bool same_sequence_kind(const Sequence& a, const Sequence& b) { return a.kind == b.kind; }

}  // namespace

bool equal(Interpreter& in, const Value& a, const Value& b) {
  in.charge();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.is_text() && b.is_text()) return a.text() == b.text();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.sequence() && b.sequence()) {
    const Sequence &x = *a.sequence(), &y = *b.sequence();
    if (!same_sequence_kind(x, y) || x.items.size() != y.items.size()) return false;
    for (size_t i = 0; i < x.items.size(); ++i) {
      if (!equal(in, x.items[i], y.items[i])) return false;
    }
    return true;
  }
  if (a.dict() && b.dict()) {
    if (a.dict()->size() != b.dict()->size()) return false;
    for (const auto& [key, value] : a.dict()->entries()) {
      const Value* other = b.dict()->find(key);
      if (!other || !equal(in, value, *other)) return false;
    }
    return true;
  }
  if (const auto* x = a.get_if<std::shared_ptr<Namespace>>()) {
    const auto* y = b.get_if<std::shared_ptr<Namespace>>();
    return y && *x == *y;
  }
  if (const auto* x = a.get_if<std::shared_ptr<const Callable>>()) {
    const auto* y = b.get_if<std::shared_ptr<const Callable>>();
    return y && *x == *y;
  }
  return a.generator() && a.generator() == b.generator();
}

bool less(Interpreter& in, const Value& a, const Value& b) {
  in.charge();
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is_text() && b.is_text()) return a.text() < b.text();  // UTF-8 sorts as its code points
  if ((is_list(a) && is_list(b)) || (is_tuple(a) && is_tuple(b))) {
    const auto &x = a.sequence()->items, &y = b.sequence()->items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(in, x[i], y[i])) return less(in, x[i], y[i]);
    }
    return x.size() < y.size();
  }
  in.defined(a);
  in.defined(b);
  in.fail(fmt::format("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b)));
}

bool contains(Interpreter& in, const Value& container, const Value& member) {
  in.charge();
  if (container.is_text()) {
    if (!member.is_text()) {
      in.defined(member);
      in.fail(fmt::format("'in <string>' requires string as left operand, not {}", type_name(member)));
    }
    in.charge(container.text().size() / 8);
    return container.text().find(member.text()) != std::string::npos;
  }
  if (const Dict* d = container.dict()) {
    if (member.sequence() || member.dict()) in.fail(fmt::format("unhashable type: '{}'", type_name(member)));
    return d->find(member) != nullptr;
  }
  if (container.is_none() || container.is_number()) {
    in.fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
  for (const Value& v : in.iterate(container)) {
    if (equal(in, v, member)) return true;
  }
  return false;
}

Value binary(Interpreter& in, const std::string& op, const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return integers(in, op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return reals(in, op, a.number(), b.number());
  if (op == "+") {
    if (a.is_text() && b.is_text()) return add_texts(in, a, b);
    if ((is_list(a) && is_list(b)) || (is_tuple(a) && is_tuple(b))) {
      std::vector<Value> items = a.sequence()->items;
      items.insert(items.end(), b.sequence()->items.begin(), b.sequence()->items.end());
      in.charge_text(items.size() * sizeof(Value));
      return make_sequence(std::move(items), a.sequence()->kind);
    }
  }
  if (op == "*") {
    if ((a.is_text() || is_list(a) || is_tuple(a)) && b.is_integer()) return repeated(in, a, b.integer());
    if ((b.is_text() || is_list(b) || is_tuple(b)) && a.is_integer()) return repeated(in, b, a.integer());
  }
  if (op == "%" && a.is_text()) return text_like(a, percent_format(in, a.text(), b));
  bad_operands(in, op, a, b);
}

Value negative(Interpreter& in, const Value& v) {
  if (v.is_integer()) {
    if (v.integer() == INT64_MIN) in.unsupported("a whole number has more than 63 bits");
    return -v.integer();
  }
  if (v.is<double>()) return -v.get<double>();
  in.defined(v);
  in.fail(fmt::format("bad operand type for unary -: '{}'", type_name(v)));
}

int64_t length(Interpreter& in, const Value& v) {
  if (v.is_undefined()) return 0;
  if (v.is_text()) return character_count(v.text());
  if (const Sequence* s = v.sequence()) return static_cast<int64_t>(s->items.size());
  if (const Dict* d = v.dict()) return static_cast<int64_t>(d->size());
  if (const auto* loop = v.get_if<std::shared_ptr<const Loop>>())
    return static_cast<int64_t>((*loop)->items->size());
  in.fail(fmt::format("object of type '{}' has no len()", type_name(v)));
}

int64_t place(int64_t i, int64_t size) {
  if (i < 0) i += size;
  return i >= 0 && i < size ? i : -1;
}

Value slice_of(Interpreter& in, const Value& value, const Value& start, const Value& stop,
               const Value& step) {
  in.defined(value);
  const Sequence* s = value.sequence();
  const bool sliceable =
      value.is_text() || is_list(value) || is_tuple(value) || (s && s->kind == Sequence::Kind::range);
  if (!sliceable) return undefined(fmt::format("{} object has no element slice", type_name(value)));
  const auto bound = [&](const Value& v, int64_t fallback) {
    if (v.is_none()) return fallback;
    if (!v.is_integer()) in.fail("slice indices must be integers or None");
    return v.integer();
  };
  const int64_t by = bound(step, 1);
  if (by == 0) in.fail("slice step cannot be zero");
  std::vector<std::string_view> characters;
  if (value.is_text()) {
    in.charge(value.text().size());
    characters = split_characters(value.text());
  }
  const auto size = static_cast<int64_t>(value.is_text() ? characters.size() : s->items.size());
  const auto clamp = [&](int64_t i) {
    const int64_t low = by < 0 ? -1 : 0, high = by < 0 ? size - 1 : size;
    return std::clamp(i < 0 ? std::max(i + size, low) : i, low, std::max(low, high));
  };
  const int64_t first = start.is_none() ? (by < 0 ? size - 1 : 0) : clamp(bound(start, 0));
  const int64_t last = stop.is_none() ? (by < 0 ? -1 : size) : clamp(bound(stop, 0));
  std::string out;
  std::vector<Value> items;
  for (int64_t i = first; by > 0 ? i < last : i > last;) {
    if (value.is_text()) {
      out += characters[static_cast<size_t>(i)];
    } else {
      in.charge();
      items.push_back(s->items[static_cast<size_t>(i)]);
    }
    if (__builtin_add_overflow(i, by, &i)) break;
  }
  if (value.is_text()) return text_like(value, std::move(out));
  return make_sequence(std::move(items), s->kind);
}

}  // namespace lorikeet::jinja
