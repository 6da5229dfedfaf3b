#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/error.h"
#include "text/unicode.h"

namespace lorikeet::jinja {
namespace {

// Longest first.
constexpr std::array<std::string_view, 27> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                         ">",  "<",  "=",  ".",  ":",  "|",  ",", ";", "!"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// All line ends become \n, and one at the very end goes.
std::string normalized(const std::string& source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

size_t trimmed_end(std::string_view s) {
  size_t end = s.size();
  while (end > 0) {
    const text::CodePoint c = text::code_point_before(s, end);
    if (!text::is_white_space(c.value) && !(c.value >= 0x1c && c.value <= 0x1f)) break;
    end -= c.size;
  }
  return end;
}

class Lexer {
 public:
  Lexer(const std::string& source, const std::string& name) : source_(normalized(source)), name_(name) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = next_tag();
      std::string_view data = std::string_view(source_).substr(at_, tag - at_);
      if (tag == std::string::npos) {
        add(TokenKind::data, std::string(data));
        break;
      }
      const char kind = source_[tag + 1];
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      size_t kept = data.size();
      if (sign == '-') {
        kept = trimmed_end(data);
      } else if (sign != '+' && kind != '{') {
        kept = without_indent(data);
      }
      if (kept > 0) add(TokenKind::data, std::string(data.substr(0, kept)));
      count_lines(data);
      at_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
      if (kind == '#') {
        skip_comment();
      } else if (kind == '{') {
        add(TokenKind::variable_begin, "{{");
        lex_tag('}');
      } else if (!lex_raw()) {
        add(TokenKind::block_begin, "{%");
        lex_tag('%');
      }
      line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::format, message, fmt::format("{}, line {}", name_, line_));
  }
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void count_lines(std::string_view s) { line_ += static_cast<int>(std::count(s.begin(), s.end(), '\n')); }

  size_t next_tag() const {
    for (size_t i = at_; (i = source_.find('{', i)) != std::string::npos && i + 1 < source_.size(); ++i) {
      const char c = source_[i + 1];
      if (c == '{' || c == '%' || c == '#') return i;
    }
    return std::string::npos;
  }

  // lstrip_blocks: white space between the start of the line and the tag goes.
  size_t without_indent(std::string_view data) const {
    const size_t newline = data.rfind('\n');
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (begin == 0 && !line_starting_) return data.size();
    return trimmed_end(data.substr(begin)) == 0 ? begin : data.size();
  }

  void skip_space_after_minus() {
    while (at_ < source_.size()) {
      const text::CodePoint c = text::code_point_at(source_, at_);
      if (!text::is_white_space(c.value) && !(c.value >= 0x1c && c.value <= 0x1f)) break;
      if (source_[at_] == '\n') ++line_;
      at_ += c.size;
    }
  }

  // trim_blocks: the newline right behind a block or comment goes.
  void skip_newline() {
    if (at_ < source_.size() && source_[at_] == '\n') {
      ++line_;
      ++at_;
    }
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail("a comment {# is not closed");
    count_lines(std::string_view(source_).substr(at_, end - at_));
    const char sign = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    if (sign == '-') {
      skip_space_after_minus();
    } else if (sign != '+') {
      skip_newline();
    }
  }

  // Matches [-+]?%} (or }}) at i; returns its length.
  size_t tag_end_at(size_t i, char closer, char* sign) const {
    *sign = '\0';
    size_t size = 0;
    if (source_[i] == '-' || (source_[i] == '+' && closer == '%')) {
      *sign = source_[i];
      size = 1;
    }
    if (i + size + 1 >= source_.size() || source_[i + size] != closer || source_[i + size + 1] != '}')
      return 0;
    return size + 2;
  }

  bool close_tag(char closer) {
    char sign = '\0';
    const size_t size = tag_end_at(at_, closer, &sign);
    if (size == 0) return false;
    add(closer == '%' ? TokenKind::block_end : TokenKind::variable_end, std::string(1, closer) + "}");
    at_ += size;
    if (sign == '-') {
      skip_space_after_minus();
    } else if (closer == '%' && sign != '+') {
      skip_newline();
    }
    return true;
  }

  // {% raw %} ... {% endraw %}
  bool lex_raw() {
    const auto keyword = [&](size_t i, std::string_view word, size_t* end, char* sign) {
      while (i < source_.size() && is_space(source_[i])) ++i;
      if (source_.compare(i, word.size(), word) != 0) return false;
      i += word.size();
      while (i < source_.size() && is_space(source_[i])) ++i;
      if (i >= source_.size()) return false;
      const size_t size = tag_end_at(i, '%', sign);
      *end = i + size;
      return size != 0;
    };
    char sign = '\0';
    size_t begin = 0;
    if (!keyword(at_, "raw", &begin, &sign)) return false;
    count_lines(std::string_view(source_).substr(at_, begin - at_));
    at_ = begin;
    if (sign == '-') skip_space_after_minus();
    for (size_t tag = at_; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
      const char left = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      size_t end = 0;
      if (!keyword(tag + 2 + (left == '-' || left == '+' ? 1 : 0), "endraw", &end, &sign)) continue;
      const std::string_view data = std::string_view(source_).substr(at_, tag - at_);
      add(TokenKind::data, std::string(data.substr(0, left == '-' ? trimmed_end(data) : data.size())));
      count_lines(std::string_view(source_).substr(at_, end - at_));
      at_ = end;
      if (sign == '-') {
        skip_space_after_minus();
      } else if (sign != '+') {
        skip_newline();
      }
      return true;
    }
    fail("a {% raw %} block is not closed");
  }

  void lex_tag(char closer) {
    std::vector<char> open;  // brackets
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (is_space(c)) {
        if (c == '\n') ++line_;
        ++at_;
      } else if (open.empty() && close_tag(closer)) {
        return;
      } else if (is_name_start(c)) {
        size_t end = at_ + 1;
        while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
        add(TokenKind::name, source_.substr(at_, end - at_));
        at_ = end;
      } else if (is_digit(c)) {
        lex_number();
      } else if (c == '"' || c == '\'') {
        lex_string(c);
      } else {
        lex_operator(open);
      }
    }
    fail(closer == '%' ? "a block {% is not closed" : "an expression {{ is not closed");
  }

  void lex_operator(std::vector<char>& open) {
    const auto rest = std::string_view(source_).substr(at_);
    for (const std::string_view op : kOperators) {
      if (!rest.starts_with(op) || op == "!") continue;
      if (op == "(" || op == "[" || op == "{") open.push_back(op == "(" ? ')' : op == "[" ? ']' : '}');
      if (op == ")" || op == "]" || op == "}") {
        if (open.empty()) fail(fmt::format("unexpected '{}'", op));
        if (open.back() != op[0]) fail(fmt::format("unexpected '{}', expected '{}'", op, open.back()));
        open.pop_back();
      }
      add(TokenKind::op, std::string(op));
      at_ += op.size();
      return;
    }
    fail(fmt::format("unexpected character '{}'", rest.substr(0, 1)));
  }

  void lex_number() {
    size_t end = at_;
    std::string digits;
    const auto take_digits = [&] {
      while (end < source_.size() &&
             (is_digit(source_[end]) ||
              (source_[end] == '_' && end + 1 < source_.size() && is_digit(source_[end + 1])))) {
        if (source_[end] != '_') digits += source_[end];
        ++end;
      }
    };
    take_digits();
    bool real = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      digits += source_[end++];
      take_digits();
      real = true;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t digit = end + 1;
      if (digit < source_.size() && (source_[digit] == '+' || source_[digit] == '-')) ++digit;
      if (digit < source_.size() && is_digit(source_[digit])) {
        digits.append(source_, end, digit - end);
        end = digit;
        take_digits();
        real = true;
      }
    }
    add(real ? TokenKind::real : TokenKind::integer, digits);
    at_ = end;
  }

  void lex_string(char quote) {
    std::string out;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] == '\n') ++line_;
      if (source_[i] != '\\' || i + 1 >= source_.size()) {
        out += source_[i];
      } else {
        i = lex_escape(i + 1, out);
      }
    }
    if (i >= source_.size()) fail("a string is not closed");
    add(TokenKind::string, out);
    at_ = i + 1;
  }

  // Python's escapes; returns the place of the escape's last character.
  size_t lex_escape(size_t i, std::string& out) {
    const char c = source_[i];
    constexpr std::string_view kNames = "abfnrtv\\'\"\n";
    constexpr std::string_view kMeant = "\a\b\f\n\r\t\v\\'\"";
    if (c == '\n') return i;  // a line that goes on
    if (const size_t k = kNames.find(c); k != std::string_view::npos) {
      out += kMeant[k];
      return i;
    }
    if (c >= '0' && c <= '7') {
      uint32_t value = 0;
      size_t n = 0;
      for (; n < 3 && i + n < source_.size() && source_[i + n] >= '0' && source_[i + n] <= '7'; ++n) {
        value = value * 8 + static_cast<uint32_t>(source_[i + n] - '0');
      }
      text::append_utf8(out, value);
      return i + n - 1;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      if (c == 'N') fail("\\N{...} in a string is not supported");
      out += '\\';
      out += c;
      return i;
    }
    uint32_t value = 0;
    for (size_t n = 1; n <= digits; ++n) {
      const char h = i + n < source_.size() ? source_[i + n] : '\0';
      const int digit = is_digit(h)            ? h - '0'
                        : h >= 'a' && h <= 'f' ? h - 'a' + 10
                        : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                               : -1;
      if (digit < 0) fail(fmt::format("the escape \\{} needs {} hexadecimal digits", c, digits));
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) fail("a string escape is not a character");
    text::append_utf8(out, value);
    return i + digits;
  }

  std::string source_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize_template(const std::string& source, const std::string& name) {
  if (!text::is_valid_utf8(source)) throw Error(ErrorKind::format, "the template is not UTF-8", name);
  return Lexer(source, name).run();
}

}  // namespace lorikeet::jinja
