#include "text/jinja/python_text.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/operators.h"
#include "text/unicode.h"

namespace lorikeet::jinja {
namespace {

// str.isprintable of one character.
bool is_printable(uint32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string text_repr(std::string_view s) {
  const bool doubled = s.find('\'') != std::string_view::npos && s.find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < s.size();) {
    const text::CodePoint c = text::code_point_at(s, at);
    if (c.value == '\n') {
      out += "\\n";
    } else if (c.value == '\r') {
      out += "\\r";
    } else if (c.value == '\t') {
      out += "\\t";
    } else if (c.value == '\\' || c.value == static_cast<uint32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c.value);
    } else if (is_printable(c.value)) {
      out.append(s, at, c.size);
    } else if (c.value < 0x100) {
      out += fmt::format("\\x{:02x}", c.value);
    } else {
      out += c.value < 0x10000 ? fmt::format("\\u{:04x}", c.value) : fmt::format("\\U{:08x}", c.value);
    }
    at += c.size;
  }
  return out + quote;
}

std::string joined(Interpreter& in, const std::vector<Value>& items) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) out += ", ";
    out += to_repr(in, items[i]);
    in.charge_text(out.size() / (i + 1));
  }
  return out;
}

std::string sequence_repr(Interpreter& in, const Sequence& s) {
  const std::string inner = joined(in, s.items);
  switch (s.kind) {
    case Sequence::Kind::list:
      return "[" + inner + "]";
    case Sequence::Kind::tuple:
      return "(" + inner + (s.items.size() == 1 ? ",)" : ")");
    case Sequence::Kind::items:
      return "dict_items([" + inner + "])";
    case Sequence::Kind::keys:
      return "dict_keys([" + inner + "])";
    case Sequence::Kind::values:
      return "dict_values([" + inner + "])";
    case Sequence::Kind::range:
      break;
  }
  const int64_t start = s.items.empty() ? 0 : s.items.front().integer();
  const int64_t step = s.items.size() < 2 ? 1 : s.items[1].integer() - start;
  const int64_t stop = s.items.empty() ? 0 : s.items.back().integer() + step;
  return step == 1 ? fmt::format("range({}, {})", start, stop)
                   : fmt::format("range({}, {}, {})", start, stop, step);
}

std::string dict_repr(Interpreter& in, const Dict& d) {
  std::string out = "{";
  for (const auto& [key, value] : d.entries()) {
    if (out.size() > 1) out += ", ";
    const std::string entry = to_repr(in, key) + ": " + to_repr(in, value);
    in.charge_text(entry.size());
    out += entry;
  }
  return out + "}";
}

class JsonWriter {
 public:
  JsonWriter(Interpreter& in, const JsonStyle& style) : in_(in), style_(style) {}
  void write(const Value& v, int level) {
    in_.charge();
    if (v.is_text()) {
      text(v.text());
    } else if (v.is_none()) {
      out += "null";
    } else if (v.is<bool>()) {
      out += v.get<bool>() ? "true" : "false";
    } else if (v.is<int64_t>()) {
      out += fmt::format("{}", v.get<int64_t>());
    } else if (v.is<double>()) {
      out += number(v.get<double>());
    } else if (const Dict* d = v.dict()) {
      object(*d, level);
    } else if (const Sequence* s = v.sequence();
               s && (s->kind == Sequence::Kind::list || s->kind == Sequence::Kind::tuple)) {
      array(*s, level);
    } else {
      in_.fail(fmt::format("Object of type {} is not JSON serializable", type_name(v)));
    }
    in_.charge_text(out.size() - charged_);
    if (out.size() > charged_) charged_ = out.size();
  }
  std::string out;

 private:
  static std::string number(double v) {
    if (std::isnan(v)) return "NaN";
    if (std::isinf(v)) return v > 0 ? "Infinity" : "-Infinity";
    return float_repr(v);
  }
  void text(std::string_view s) {
    out += '"';
    for (size_t at = 0; at < s.size();) {
      const text::CodePoint c = text::code_point_at(s, at);
      switch (c.value) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        case '\b':
          out += "\\b";
          break;
        case '\f':
          out += "\\f";
          break;
        default:
          character(s, at, c);
      }
      at += c.size;
    }
    out += '"';
  }
  void character(std::string_view s, size_t at, text::CodePoint c) {
    const bool plain = c.value >= 0x20 && (!style_.ensure_ascii || c.value < 0x7f);
    if (plain) {
      out.append(s, at, c.size);
    } else if (c.value < 0x10000) {
      out += fmt::format("\\u{:04x}", c.value);
    } else {
      const uint32_t v = c.value - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 | v >> 10, 0xdc00 | (v & 0x3ff));
    }
  }
  void new_line(int level) {
    if (!style_.indent) return;
    in_.charge_text(style_.indent->size() * static_cast<size_t>(level));
    out += '\n';
    for (int i = 0; i < level; ++i) out += *style_.indent;
  }
  void array(const Sequence& s, int level) {
    out += '[';
    for (size_t i = 0; i < s.items.size(); ++i) {
      if (i) out += style_.item_separator;
      new_line(level + 1);
      write(s.items[i], level + 1);
    }
    if (!s.items.empty()) new_line(level);
    out += ']';
  }
  std::string key(const Value& k) {
    if (k.is_text()) return k.text();
    if (k.is_none()) return "null";
    if (k.is<bool>()) return k.get<bool>() ? "true" : "false";
    if (k.is<int64_t>()) return fmt::format("{}", k.get<int64_t>());
    if (k.is<double>()) return number(k.get<double>());
    in_.fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(k)));
  }
  void object(const Dict& d, int level) {
    std::vector<const std::pair<Value, Value>*> order;
    for (const auto& entry : d.entries()) order.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(order.begin(), order.end(),
                       [&](const auto* a, const auto* b) { return less(in_, a->first, b->first); });
    }
    out += '{';
    bool first = true;
    for (const auto* entry : order) {
      if (!first) out += style_.item_separator;
      first = false;
      new_line(level + 1);
      text(key(entry->first));
      out += style_.key_separator;
      write(entry->second, level + 1);
    }
    if (!first) new_line(level);
    out += '}';
  }
  Interpreter& in_;
  const JsonStyle& style_;
  size_t charged_ = 0;
};

}  // namespace

std::string float_repr(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto scientific = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  std::string s(buffer, scientific.ptr);
  const size_t e = s.find('e');
  const int exponent = std::stoi(s.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return s;  // "1e+16", as Python writes it
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string to_str(Interpreter& in, const Value& v) {
  if (v.is_text()) return v.text();
  if (v.is_undefined()) return "";
  return to_repr(in, v);
}

std::string to_repr(Interpreter& in, const Value& v) {
  in.charge();
  if (v.is_undefined()) return "Undefined";
  if (v.is_none()) return "None";
  if (v.is<bool>()) return v.get<bool>() ? "True" : "False";
  if (v.is<int64_t>()) return fmt::format("{}", v.get<int64_t>());
  if (v.is<double>()) return float_repr(v.get<double>());
  if (v.is_text()) {
    in.charge_text(2 * v.text().size());
    const std::string repr = text_repr(v.text());
    return v.is_markup() ? "Markup(" + repr + ")" : repr;
  }
  if (const Sequence* s = v.sequence()) return sequence_repr(in, *s);
  if (const Dict* d = v.dict()) return dict_repr(in, *d);
  if (const auto* ns = v.get_if<std::shared_ptr<Namespace>>()) {
    const Interpreter::Depth inside(in);  // it may hold itself
    Dict members;
    for (const auto& [name, value] : (*ns)->members) members.set(name, value);
    return "<Namespace " + dict_repr(in, members) + ">";
  }
  if (const auto* c = v.get_if<std::shared_ptr<const Callable>>()) return "<function " + (*c)->name() + ">";
  if (const auto* loop = v.get_if<std::shared_ptr<const Loop>>()) {
    return fmt::format("<LoopContext {}/{}>", (*loop)->index + 1, (*loop)->items->size());
  }
  return "<generator object>";
}

std::string to_json(Interpreter& in, const Value& value, const JsonStyle& style) {
  JsonWriter writer(in, style);
  writer.write(value, 0);
  return std::move(writer.out);
}

std::string escape_html(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace lorikeet::jinja
