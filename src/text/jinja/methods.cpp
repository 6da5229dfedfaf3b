// Methods of Python's str, dict and list, and of the loop variable, that templates call.
#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>
#include <span>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/python_text.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace lorikeet::jinja {
namespace {

using In = Interpreter&;
using Args = const Arguments&;
using Method = Value (*)(In, const Value& self, Args);

class BoundMethod : public Callable {
 public:
  BoundMethod(Value self, std::string name, Method method)
      : self_(std::move(self)), name_(std::move(name)), method_(method) {}
  Value call(Interpreter& in, const Arguments& arguments) const override {
    if (!method_)
      in.fail(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name_, type_name(self_)));
    return method_(in, self_, arguments);
  }
  std::string name() const override { return name_; }
  int depth() const override { return self_.depth() + 1; }

 private:
  Value self_;
  std::string name_;
  Method method_;
};

Value texts(In in, const Value& self, const std::vector<std::string_view>& parts) {
  std::vector<Value> out;
  out.reserve(parts.size());
  for (const std::string_view p : parts) {
    in.charge(sizeof(Value) + p.size());
    out.push_back(text_like(self, std::string(p)));
  }
  return make_sequence(std::move(out));
}

template <bool Left, bool Right>
Value strip_method(In in, const Value& self, Args a) {
  const Bound b(in, "strip", a, {"chars"});
  in.charge_text(self.text().size());
  return text_like(self, std::string(strip(self.text(), b.text(0), Left, Right)));
}

std::optional<std::string> separator(In in, const Bound& b) {
  std::optional<std::string> s = b.text(0);
  if (s && s->empty()) in.fail("empty separator");
  return s;
}
Value split_method(In in, const Value& self, Args a) {
  const Bound b(in, "split", a, {"sep", "maxsplit"});
  return texts(in, self, split(self.text(), separator(in, b), b.integer(1, -1)));
}
Value rsplit_method(In in, const Value& self, Args a) {
  const Bound b(in, "rsplit", a, {"sep", "maxsplit"});
  return texts(in, self, split_from_right(self.text(), separator(in, b), b.integer(1, -1)));
}
Value splitlines_method(In in, const Value& self, Args a) {
  const Bound b(in, "splitlines", a, {"keepends"});
  return texts(in, self, split_lines(self.text(), b.flag(0, false)));
}
template <bool Right>
Value partition_method(In in, const Value& self, Args a) {
  const Bound b(in, "partition", a, {"sep"});
  const std::string sep = separator(in, b).value_or(" ");
  const std::string& s = self.text();
  const size_t at = Right ? s.rfind(sep) : s.find(sep);
  in.charge_text(s.size());
  std::vector<Value> parts;
  if (at == std::string::npos) {
    parts = Right ? std::vector<Value>{"", "", self} : std::vector<Value>{self, "", ""};
  } else {
    parts = {text_like(self, s.substr(0, at)), text_like(self, sep),
             text_like(self, s.substr(at + sep.size()))};
  }
  return make_sequence(std::move(parts), Sequence::Kind::tuple);
}

// The part of the text that start and end leave; false where start lies behind the text.
bool window(const Bound& b, size_t first, std::string_view& s) {
  const int64_t size = character_count(s);
  const auto clamp = [&](int64_t i) { return std::clamp(i < 0 ? i + size : i, int64_t{0}, size); };
  const int64_t start = b.has(first) && !b.required(first).is_none() ? b.integer(first, 0) : 0;
  const int64_t end = b.has(first + 1) && !b.required(first + 1).is_none() ? b.integer(first + 1, 0) : size;
  if (start > size) return false;
  const size_t from = byte_offset(s, clamp(start)), to = byte_offset(s, clamp(end));
  if (to < from) return false;
  s = s.substr(from, to - from);
  return true;
}

template <bool Start>
Value affix_method(In in, const Value& self, Args a) {
  const char* name = Start ? "startswith" : "endswith";
  const Bound b(in, name, a, {"affix", "start", "end"});
  std::string_view s = self.text();
  in.charge();
  if (!window(b, 1, s)) return false;
  std::vector<Value> candidates{b.required(0)};
  if (const Sequence* t = b.required(0).sequence(); t && t->kind == Sequence::Kind::tuple)
    candidates = t->items;
  for (const Value& c : candidates) {
    in.defined(c);
    if (!c.is_text())
      in.fail(fmt::format("{} first arg must be str or a tuple of str, not {}", name, type_name(c)));
    if (Start ? s.starts_with(c.text()) : s.ends_with(c.text())) return true;
  }
  return false;
}

template <bool Right, bool MustFind>
Value find_method_of_text(In in, const Value& self, Args a) {
  const Bound b(in, "find", a, {"sub", "start", "end"});
  std::string_view s = self.text();
  if (!b.required(0).is_text()) in.fail(fmt::format("must be str, not {}", type_name(b.required(0))));
  in.charge(s.size() / 8);
  if (window(b, 1, s)) {
    const size_t at = Right ? s.rfind(b.required(0).text()) : s.find(b.required(0).text());
    if (at != std::string_view::npos) {
      const auto before = static_cast<size_t>(s.data() - self.text().data()) + at;
      return character_count(std::string_view(self.text()).substr(0, before));
    }
  }
  if (MustFind) in.fail("substring not found");
  return int64_t{-1};
}

Value count_method(In in, const Value& self, Args a) {
  const Bound b(in, "count", a, {"sub", "start", "end"});
  std::string_view s = self.text();
  const std::string needle = b.text(0).value_or("");
  in.charge(s.size() / 8);
  int64_t n = 0;
  if (!window(b, 1, s)) return n;
  if (needle.empty()) return character_count(s) + 1;
  for (size_t at = s.find(needle); at != std::string_view::npos; at = s.find(needle, at + needle.size())) ++n;
  return n;
}

Value replace_method(In in, const Value& self, Args a) {
  const Bound b(in, "replace", a, {"old", "new", "count"});
  const Value &from = b.required(0), &to = b.required(1);
  if (!from.is_text() || !to.is_text()) in.fail("replace() argument must be str");
  return text_like(self, replace(in, self.text(), from.text(), to.text(), b.integer(2, -1)));
}

Value join_method(In in, const Value& self, Args a) {
  const Bound b(in, "join", a, {"iterable"});
  std::string out;
  size_t i = 0;
  for (const Value& item : in.iterate(b.required(0))) {
    if (!item.is_text()) {
      in.fail(fmt::format("sequence item {}: expected str instance, {} found", i, type_name(item)));
    }
    if (i++) out += self.text();
    out += item.text();
    in.charge_text(item.text().size() + self.text().size());
    if (out.size() > 4096) in.charge_text(out.size() / 64);
  }
  in.charge_text(out.size());
  return text_like(self, std::move(out));
}

template <std::string (*Convert)(std::string_view)>
Value convert_method(In in, const Value& self, Args a) {
  no_arguments(in, "method", a);
  in.charge_text(self.text().size());
  return text_like(self, Convert(self.text()));
}

std::string swap_case(std::string_view s) {
  std::string out;
  for (const std::string_view c : split_characters(s)) out += lower(c) == c ? upper(c) : lower(c);
  return out;
}

template <bool Start>
Value remove_affix(In in, const Value& self, Args a) {
  const Bound b(in, "removeprefix", a, {"affix"});
  std::string_view s = self.text();
  const std::string affix = b.text(0).value_or("");
  if (Start ? s.starts_with(affix) : s.ends_with(affix)) {
    s = Start ? s.substr(affix.size()) : s.substr(0, s.size() - affix.size());
  }
  in.charge_text(s.size());
  return text_like(self, std::string(s));
}

// ljust, rjust, center, zfill: -1 text left, 1 text right, 0 in the middle.
template <int Side>
Value pad_method(In in, const Value& self, Args a) {
  const Bound b(in, "ljust", a, {"width", "fillchar"});
  const std::string fill = b.text(1).value_or(" ");
  if (character_count(fill) != 1) in.fail("The fill character must be exactly one character long");
  const int64_t width = b.integer(0, 0), missing = width - character_count(self.text());
  if (missing <= 0) return self;
  in.charge_text(static_cast<size_t>(missing) * fill.size() + self.text().size());
  // Python puts the odd one of a centred text on the left where the width is odd.
  const int64_t left = Side < 0 ? 0 : Side > 0 ? missing : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return text_like(self, std::move(out));
}
Value zfill_method(In in, const Value& self, Args a) {
  const Bound b(in, "zfill", a, {"width"});
  const int64_t missing = b.integer(0, 0) - character_count(self.text());
  if (missing <= 0) return self;
  in.charge_text(static_cast<size_t>(missing) + self.text().size());
  std::string out = self.text();
  const bool sign = !out.empty() && (out[0] == '+' || out[0] == '-');
  out.insert(sign ? 1 : 0, static_cast<size_t>(missing), '0');
  return text_like(self, std::move(out));
}

// str.isdigit and the like: not empty, and all characters of a class.
template <bool (*InClass)(uint32_t)>
Value all_method(In in, const Value& self, Args a) {
  no_arguments(in, "method", a);
  const std::string& s = self.text();
  in.charge(s.size());
  for (size_t at = 0; at < s.size();) {
    const text::CodePoint c = text::code_point_at(s, at);
    if (!InClass(c.value)) return false;
    at += c.size;
  }
  return !s.empty();
}
utf8proc_category_t category(uint32_t c) { return utf8proc_category(static_cast<int32_t>(c)); }
bool is_alpha(uint32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_numeric_character(uint32_t c) { return text::is_numeric(c); }
bool is_alnum(uint32_t c) { return is_alpha(c) || text::is_numeric(c); }
bool is_space(uint32_t c) { return text::is_white_space(c) || (c >= 0x1c && c <= 0x1f); }
bool is_ascii(uint32_t c) { return c < 0x80; }

template <bool Upper>
Value case_method(In in, const Value& self, Args a) {
  no_arguments(in, "method", a);
  const std::string& s = self.text();
  in.charge(s.size());
  return Upper ? upper(s) == s && lower(s) != s : lower(s) == s && upper(s) != s;
}

Value not_built(In in, const Value&, Args) { in.unsupported("this method of a text is not supported"); }

constexpr Named<Method> kTextMethods[] = {
    {"capitalize", convert_method<capitalize>},
    {"casefold", convert_method<lower>},
    {"center", pad_method<0>},
    {"count", count_method},
    {"encode", not_built},
    {"endswith", affix_method<false>},
    {"expandtabs", not_built},
    {"find", find_method_of_text<false, false>},
    {"format", not_built},
    {"format_map", not_built},
    {"index", find_method_of_text<false, true>},
    {"isalnum", all_method<is_alnum>},
    {"isalpha", all_method<is_alpha>},
    {"isascii", all_method<is_ascii>},
    {"isdecimal", all_method<is_decimal>},
    {"isdigit", all_method<is_decimal>},
    {"islower", case_method<false>},
    {"isnumeric", all_method<is_numeric_character>},
    {"isspace", all_method<is_space>},
    {"istitle", not_built},
    {"isupper", case_method<true>},
    {"join", join_method},
    {"ljust", pad_method<-1>},
    {"lower", convert_method<lower>},
    {"lstrip", strip_method<true, false>},
    {"partition", partition_method<false>},
    {"removeprefix", remove_affix<true>},
    {"removesuffix", remove_affix<false>},
    {"replace", replace_method},
    {"rfind", find_method_of_text<true, false>},
    {"rindex", find_method_of_text<true, true>},
    {"rjust", pad_method<1>},
    {"rpartition", partition_method<true>},
    {"rsplit", rsplit_method},
    {"rstrip", strip_method<false, true>},
    {"split", split_method},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<true>},
    {"strip", strip_method<true, true>},
    {"swapcase", convert_method<swap_case>},
    {"title", convert_method<title>},
    {"translate", not_built},
    {"upper", convert_method<upper>},
    {"zfill", zfill_method},
};

template <Sequence::Kind Kind>
Value view_method(In in, const Value& self, Args a) {
  no_arguments(in, "items", a);
  std::vector<Value> out;
  for (const auto& [key, value] : self.dict()->entries()) {
    in.charge(sizeof(Value));
    if (Kind == Sequence::Kind::keys) {
      out.push_back(key);
    } else if (Kind == Sequence::Kind::values) {
      out.push_back(value);
    } else {
      out.push_back(make_sequence({key, value}, Sequence::Kind::tuple));
    }
  }
  return make_sequence(std::move(out), Kind);
}
Value get_method(In in, const Value& self, Args a) {
  const Bound b(in, "get", a, {"key", "default"});
  const Value* found = self.dict()->find(b.required(0));
  return found ? *found : b.or_else(1, Value());
}
Value copy_method(In in, const Value& self, Args a) {
  no_arguments(in, "copy", a);
  return self;
}

// Jinja2's immutable sandbox refuses to call what would change a list or dict.
constexpr Method unsafe = nullptr;

constexpr Named<Method> kDictMethods[] = {
    {"clear", unsafe},
    {"copy", copy_method},
    {"get", get_method},
    {"items", view_method<Sequence::Kind::items>},
    {"keys", view_method<Sequence::Kind::keys>},
    {"pop", unsafe},
    {"popitem", unsafe},
    {"setdefault", unsafe},
    {"update", unsafe},
    {"values", view_method<Sequence::Kind::values>},
};

Value list_index(In in, const Value& self, Args a) {
  const Bound b(in, "index", a, {"value"});
  const auto& items = self.sequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(in, items[i], b.required(0))) return static_cast<int64_t>(i);
  }
  in.fail(fmt::format("{} is not in list", to_repr(in, b.required(0))));
}
Value list_count(In in, const Value& self, Args a) {
  const Bound b(in, "count", a, {"value"});
  int64_t n = 0;
  for (const Value& item : self.sequence()->items) n += equal(in, item, b.required(0));
  return n;
}

constexpr Named<Method> kListMethods[] = {
    {"append", unsafe}, {"clear", unsafe},     {"copy", copy_method}, {"count", list_count},
    {"extend", unsafe}, {"index", list_index}, {"insert", unsafe},    {"pop", unsafe},
    {"remove", unsafe}, {"reverse", unsafe},   {"sort", unsafe},
};

constexpr Named<Method> kTupleMethods[] = {{"count", list_count}, {"index", list_index}};

Value loop_cycle(In in, const Value& self, Args a) {
  if (a.positional.empty()) in.fail("no items for cycling given");
  return a.positional[self.get<std::shared_ptr<const Loop>>()->index % a.positional.size()];
}

constexpr Named<Method> kLoopMethods[] = {{"cycle", loop_cycle}};

std::span<const Named<Method>> methods_of(const Value& self) {
  if (self.is_text()) return kTextMethods;
  if (self.dict()) return kDictMethods;
  if (self.is<std::shared_ptr<const Loop>>()) return kLoopMethods;
  const Sequence* s = self.sequence();
  if (s && s->kind == Sequence::Kind::list) return kListMethods;
  if (s && s->kind == Sequence::Kind::tuple) return kTupleMethods;
  return {};
}

}  // namespace

std::optional<Value> find_method(const Value& self, const std::string& name) {
  for (const Named<Method>& m : methods_of(self)) {
    if (m.name != name) continue;
    return Value(std::shared_ptr<const Callable>(std::make_shared<BoundMethod>(self, name, m.function)));
  }
  return std::nullopt;
}

}  // namespace lorikeet::jinja
