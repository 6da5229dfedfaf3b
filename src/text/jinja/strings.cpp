#include "text/jinja/strings.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>

#include "text/jinja/python_text.h"
#include "text/unicode.h"

namespace lorikeet::jinja {
namespace {

// Python's str.isspace counts four control characters more than Unicode's White_Space.
bool is_space(uint32_t c) { return text::is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

bool is_cased(uint32_t c) {
  const auto v = static_cast<int32_t>(c);
  return utf8proc_tolower(v) != v || utf8proc_toupper(v) != v;
}

bool is_line_end(uint32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::string mapped(std::string_view s, int32_t (*convert)(int32_t)) {
  std::string out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    const text::CodePoint c = text::code_point_at(s, at);
    text::append_utf8(out, static_cast<uint32_t>(convert(static_cast<int32_t>(c.value))));
    at += c.size;
  }
  return out;
}

}  // namespace

int64_t character_count(std::string_view s) {
  return std::count_if(s.begin(), s.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::vector<std::string_view> split_characters(std::string_view s) {
  std::vector<std::string_view> out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    const uint32_t size = text::code_point_at(s, at).size;
    out.push_back(s.substr(at, size));
    at += size;
  }
  return out;
}

size_t byte_offset(std::string_view s, int64_t character) {
  size_t at = 0;
  while (character-- > 0 && at < s.size()) at += text::code_point_at(s, at).size;
  return at;
}

std::string_view strip(std::string_view s, const std::optional<std::string>& characters, bool left,
                       bool right) {
  const auto goes = [&](const text::CodePoint& c, size_t at) {
    if (!characters) return is_space(c.value);
    return characters->find(s.substr(at, c.size)) != std::string::npos;
  };
  size_t begin = 0, end = s.size();
  while (left && begin < end) {
    const text::CodePoint c = text::code_point_at(s, begin);
    if (!goes(c, begin)) break;
    begin += c.size;
  }
  while (right && begin < end) {
    const text::CodePoint c = text::code_point_before(s, end);
    if (!goes(c, end - c.size)) break;
    end -= c.size;
  }
  return s.substr(begin, end - begin);
}

std::vector<std::string_view> split(std::string_view s, const std::optional<std::string>& separator,
                                    int64_t limit) {
  std::vector<std::string_view> out;
  if (separator) {
    size_t at = 0;
    for (size_t found; limit != 0 && (found = s.find(*separator, at)) != std::string_view::npos; --limit) {
      out.push_back(s.substr(at, found - at));
      at = found + separator->size();
    }
    out.push_back(s.substr(at));
    return out;
  }
  s = strip(s, std::nullopt, true, false);
  while (!s.empty()) {
    size_t end = 0;
    while (end < s.size() && !is_space(text::code_point_at(s, end).value))
      end += text::code_point_at(s, end).size;
    if (limit-- == 0) {
      out.push_back(strip(s, std::nullopt, false, true));
      break;
    }
    out.push_back(s.substr(0, end));
    s = strip(s.substr(end), std::nullopt, true, false);
  }
  return out;
}

std::vector<std::string_view> split_from_right(std::string_view s,
                                               const std::optional<std::string>& separator, int64_t limit) {
  std::vector<std::string_view> out;
  if (separator) {
    for (size_t found; limit != 0 && (found = s.rfind(*separator)) != std::string_view::npos; --limit) {
      out.push_back(s.substr(found + separator->size()));
      s = s.substr(0, found);
    }
    out.push_back(s);
  } else {
    s = strip(s, std::nullopt, false, true);
    while (!s.empty()) {
      size_t begin = s.size();
      while (begin > 0 && !is_space(text::code_point_before(s, begin).value)) {
        begin -= text::code_point_before(s, begin).size;
      }
      if (limit-- == 0) {
        out.push_back(strip(s, std::nullopt, true, false));
        break;
      }
      out.push_back(s.substr(begin));
      s = strip(s.substr(0, begin), std::nullopt, false, true);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t at = 0; at < s.size();) {
    const text::CodePoint c = text::code_point_at(s, at);
    const size_t line_end = at;
    at += c.size;
    if (!is_line_end(c.value)) continue;
    if (c.value == '\r' && at < s.size() && s[at] == '\n') ++at;
    out.push_back(s.substr(begin, (keep_ends ? at : line_end) - begin));
    begin = at;
  }
  if (begin < s.size()) out.push_back(s.substr(begin));
  return out;
}

std::string replace(Interpreter& in, std::string_view s, std::string_view from, std::string_view to,
                    int64_t count) {
  std::string out;
  size_t at = 0;
  if (from.empty()) {  // between all characters
    for (const std::string_view c : split_characters(s)) {
      if (count != 0) {
        out += to;
        --count;
      }
      out += c;
      in.charge_text(to.size() + c.size());
    }
    return count != 0 ? out + std::string(to) : out;
  }
  for (size_t found; count != 0 && (found = s.find(from, at)) != std::string_view::npos; --count) {
    in.charge_text(found - at + to.size());
    out.append(s, at, found - at);
    out += to;
    at = found + from.size();
    if (out.size() > s.size()) in.charge_text(out.size() - s.size() > to.size() ? 0 : to.size());
  }
  out.append(s, at);
  in.charge_text(out.size());
  return out;
}

std::string upper(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    const text::CodePoint c = text::code_point_at(s, at);
    at += c.size;
    if (c.value == 0xdf) {
      out += "SS";
    } else {
      text::append_utf8(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<int32_t>(c.value))));
    }
  }
  return out;
}

std::string lower(std::string_view s) { return mapped(s, utf8proc_tolower); }

std::string title(std::string_view s) {
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < s.size();) {
    const text::CodePoint c = text::code_point_at(s, at);
    const auto v = static_cast<int32_t>(c.value);
    text::append_utf8(out, static_cast<uint32_t>(inside ? utf8proc_tolower(v) : utf8proc_totitle(v)));
    inside = is_cased(c.value);
    at += c.size;
  }
  return out;
}

std::string capitalize(std::string_view s) {
  if (s.empty()) return {};
  const text::CodePoint first = text::code_point_at(s, 0);
  return text::to_utf8(static_cast<uint32_t>(utf8proc_totitle(static_cast<int32_t>(first.value)))) +
         lower(s.substr(first.size));
}

std::string percent_format(Interpreter& in, std::string_view format, const Value& arguments) {
  std::vector<Value> values{arguments};
  if (const Sequence* s = arguments.sequence(); s && s->kind == Sequence::Kind::tuple) values = s->items;
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    if (++i >= format.size()) in.fail("incomplete format");
    if (format[i] == '%') {
      out += '%';
      continue;
    }
    if (next >= values.size()) in.fail("not enough arguments for format string");
    const Value& v = values[next++];
    if (format[i] == 's') {
      out += to_str(in, v);
    } else if (format[i] == 'r') {
      out += to_repr(in, v);
    } else if (format[i] == 'd' && v.is_number()) {
      out += fmt::format("{}", v.is<double>() ? static_cast<int64_t>(v.get<double>()) : v.integer());
    } else {
      in.unsupported(fmt::format("the format %{} is not supported", format[i]));
    }
    in.charge_text(out.size());
  }
  if (next < values.size()) in.fail("not all arguments converted during string formatting");
  return out;
}

}  // namespace lorikeet::jinja
