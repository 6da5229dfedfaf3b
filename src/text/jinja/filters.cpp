// Filters that make text, numbers or pass values on; those over sequences are in sequence_filters.cpp.
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/python_text.h"
#include "text/jinja/strings.h"

namespace lorikeet::jinja {
namespace {

// Jinja2's soft_str: markup stays markup, everything else becomes str(value).
Value soft_text(Interpreter& in, const Value& v) { return v.is_text() ? v : Value(to_str(in, v)); }

Value string(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "string", a);
  return soft_text(in, v);
}
Value safe(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "safe", a);
  return markup(to_str(in, v));
}
Value escape(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "escape", a);
  return v.is_markup() ? v : markup(escape_html(to_str(in, v)));
}

template <std::string (*Convert)(std::string_view)>
Value convert(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "filter", a);
  const Value text = soft_text(in, v);
  in.charge_text(text.text().size());
  return text_like(text, Convert(text.text()));
}

Value trim(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "trim", a, {"chars"});
  const Value text = soft_text(in, v);
  in.charge_text(text.text().size());
  return text_like(text, std::string(strip(text.text(), b.text(0), true, true)));
}

Value default_value(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "default", a, {"default_value", "boolean"});
  if (v.is_undefined() || (b.flag(1, false) && !truth(v))) return b.or_else(0, "");
  return v;
}

Value replace_filter(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "replace", a, {"old", "new", "count"});
  const int64_t count = b.has(2) && !b.required(2).is_none() ? b.integer(2, -1) : -1;
  return replace(in, to_str(in, v), to_str(in, b.required(0)), to_str(in, b.required(1)), count);
}

Value to_json_filter(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = b.flag(0, false);
  if (const Value indent = b.or_else(1, Value()); !indent.is_none()) {
    if (indent.is_text()) {
      style.indent = indent.text();
    } else {
      const int64_t spaces = std::max<int64_t>(b.integer(1, 0), 0);
      in.charge_text(static_cast<size_t>(spaces));
      style.indent = std::string(static_cast<size_t>(spaces), ' ');
    }
    style.item_separator = ",";
  }
  if (const Value separators = b.or_else(2, Value()); !separators.is_none()) {
    const std::vector<Value> two = in.iterate(separators);
    if (two.size() != 2 || !two[0].is_text() || !two[1].is_text()) in.fail("separators must be two texts");
    style.item_separator = two[0].text();
    style.key_separator = two[1].text();
  }
  style.sort_keys = b.flag(3, false);
  return to_json(in, v, style);
}

Value indent(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "indent", a, {"width", "first", "blank"});
  std::string by(4, ' ');
  if (const Value width = b.or_else(0, int64_t{4}); width.is_text()) {
    by = width.text();
  } else {
    const int64_t spaces = std::max<int64_t>(b.integer(0, 4), 0);
    in.charge_text(static_cast<size_t>(spaces));
    by.assign(static_cast<size_t>(spaces), ' ');
  }
  const bool blank = b.flag(2, false);
  const Value input = soft_text(in, v);
  const std::string text = input.text() + "\n";  // so that a last empty line counts
  std::string out = b.flag(1, false) ? by : "";
  const std::vector<std::string_view> lines = split_lines(text, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i) out += '\n';
    if (i && (blank || !lines[i].empty())) out += by;
    in.charge_text(by.size() + lines[i].size());
    out += lines[i];
  }
  return text_like(input, std::move(out));
}

Value to_int(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "int", a, {"default", "base"});
  Value fallback = b.or_else(0, int64_t{0});
  if (v.is_integer()) return v.integer();
  double number = 0;
  if (v.is<double>()) {
    number = v.get<double>();
  } else if (v.is_text()) {
    const std::string text(strip(v.text(), std::nullopt, true, true));
    char* end = nullptr;
    errno = 0;
    const long long whole = std::strtoll(text.c_str(), &end, static_cast<int>(b.integer(1, 10)));
    if (!text.empty() && *end == '\0' && errno == 0) return static_cast<int64_t>(whole);
    number = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return fallback;
  } else {
    return fallback;
  }
  if (!std::isfinite(number) || std::fabs(number) >= 9.2e18) return fallback;
  return static_cast<int64_t>(number);
}

Value to_float(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "float", a, {"default"});
  if (v.is_number()) return v.number();
  if (v.is_text()) {
    const std::string text(strip(v.text(), std::nullopt, true, true));
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    if (!text.empty() && *end == '\0') return number;
  }
  return b.or_else(0, 0.0);
}

Value absolute(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "abs", a);
  if (v.is_integer()) return v.integer() < 0 ? negative(in, v) : Value(v.integer());
  if (v.is<double>()) return std::fabs(v.get<double>());
  in.defined(v);
  in.fail(fmt::format("bad operand type for abs(): '{}'", type_name(v)));
}

Value round_filter(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "round", a, {"precision", "method"});
  const std::string method = b.text(1).value_or("common");
  if (!v.is_number()) in.fail(fmt::format("type {} doesn't define __round__ method", type_name(v)));
  const int64_t precision = b.integer(0, 0);
  if (method == "common") {
    if (v.is_integer() && precision >= 0) return v.integer();
    // Python rounds to the nearest decimal, ties to even on the exact value: so does printf.
    if (precision < 0 || precision > 300) in.unsupported("a precision outside 0 to 300 is not supported");
    return std::strtod(fmt::format("{:.{}f}", v.number(), static_cast<int>(precision)).c_str(), nullptr);
  }
  if (method != "ceil" && method != "floor") in.fail("method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = v.number() * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value word_count(Interpreter& in, const Value& v, const Arguments& a) {
  no_arguments(in, "wordcount", a);
  return static_cast<int64_t>(split(to_str(in, v), std::nullopt, -1).size());
}

Value attr(Interpreter& in, const Value& v, const Arguments& a) {
  const Bound b(in, "attr", a, {"name"});
  const std::string name = to_str(in, b.required(0));
  if (const std::optional<Value> method = find_method(v, name)) return *method;
  if (v.is<std::shared_ptr<Namespace>>() || v.is<std::shared_ptr<const Loop>>()) return in.attribute(v, name);
  return undefined(fmt::format("'{} object' has no attribute '{}'", type_name(v), name));
}

constexpr Named<FilterFunction> kFilters[] = {
    {"abs", absolute},
    {"attr", attr},
    {"capitalize", convert<capitalize>},
    {"d", default_value},
    {"default", default_value},
    {"e", escape},
    {"escape", escape},
    {"float", to_float},
    {"indent", indent},
    {"int", to_int},
    {"lower", convert<lower>},
    {"replace", replace_filter},
    {"round", round_filter},
    {"safe", safe},
    {"string", string},
    {"title", convert<title>},
    {"tojson", to_json_filter},
    {"trim", trim},
    {"upper", convert<upper>},
    {"wordcount", word_count},
};

}  // namespace

FilterFunction find_text_filter(std::string_view name) { return find_named(kFilters, name); }

FilterFunction find_filter(std::string_view name) {
  const FilterFunction f = find_text_filter(name);
  return f ? f : find_sequence_filter(name);
}

}  // namespace lorikeet::jinja
