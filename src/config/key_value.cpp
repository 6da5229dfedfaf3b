#include "config/key_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "config/nearest.h"
#include "core/error.h"
#include "io/json.h"
#include "lorikeet/config.h"

namespace lorikeet {
namespace {

[[noreturn]] void wrong(const KeyInfo& info, std::string_view got, const std::string& where) {
  throw Error(ErrorKind::usage, fmt::format("{} cannot be {}", info.name, got), where,
              fmt::format("{} takes {}", info.name, allowed_text(info)));
}

std::string shown(const RawValue& raw) {
  switch (raw.kind) {
    case RawValue::Kind::null:
      return "empty";
    case RawValue::Kind::list:
      return "a list";
    case RawValue::Kind::map:
      return "a map";
    case RawValue::Kind::scalar:
      break;
  }
  constexpr size_t kMost = 60;
  return raw.scalar.size() <= kMost ? fmt::format("\"{}\"", raw.scalar)
                                    : fmt::format("\"{}...\"", raw.scalar.substr(0, kMost));
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::optional<double> read_number(const std::string& text) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  double value = 0;
  const auto [rest, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<int64_t> read_integer(const std::string& text) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  int64_t value = 0;
  const auto [rest, error] = std::from_chars(begin, end, value);
  if (error == std::errc() && rest == end) return value;
  // "1e3" and "2.0" are whole numbers too; beyond 2^53 a double does not say which one.
  const std::optional<double> number = read_number(text);
  if (number && *number == std::floor(*number) && std::abs(*number) <= 9007199254740992.0)
    return static_cast<int64_t>(*number);
  return std::nullopt;
}

std::optional<bool> read_bool(const std::string& text) {
  const std::string word = lower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return std::nullopt;
}

bool is_none_word(const KeyInfo& info, const RawValue& raw) {
  if (raw.kind == RawValue::Kind::null) return true;
  if (raw.kind != RawValue::Kind::scalar || raw.quoted || info.type == KeyType::text) return false;
  const std::string word = lower(raw.scalar);
  return word == "none" || word == "null" || (word == "auto" && info.default_text == "auto");
}

bool takes_list(KeyType type) {
  return type == KeyType::text_list || type == KeyType::integer_list || type == KeyType::modules;
}

bool takes_map(KeyType type) { return type == KeyType::integer_map || type == KeyType::number_map; }

const std::string& scalar_of(const KeyInfo& info, const RawValue& raw, const std::string& where) {
  if (raw.kind != RawValue::Kind::scalar) wrong(info, shown(raw), where);
  return raw.scalar;
}

std::vector<std::string> text_list_of(const KeyInfo& info, const RawValue& raw, const std::string& where) {
  std::vector<std::string> out;
  for (const RawValue& item : raw.items) {
    if (item.kind != RawValue::Kind::scalar)
      wrong(info, fmt::format("a list that holds {}", shown(item)), where);
    if (item.scalar.empty()) wrong(info, "a list that holds an empty text", where);
    out.push_back(item.scalar);
  }
  return out;
}

/// A single word without regular expression characters names a module: as an expression it could only match a
/// module without a parent.
bool is_plain_module_name(std::string_view text) {
  return !text.empty() && text != "all-linear" &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

RawValue raw_from_json(const Json& json) {
  RawValue raw;
  switch (json.type()) {
    case Json::value_t::null:
      return raw;
    case Json::value_t::array:
      raw.kind = RawValue::Kind::list;
      for (const Json& item : json) raw.items.push_back(raw_from_json(item));
      return raw;
    case Json::value_t::object:
      raw.kind = RawValue::Kind::map;
      for (const auto& [name, item] : json.items()) {
        raw.names.push_back(name);
        raw.items.push_back(raw_from_json(item));
      }
      return raw;
    default:
      raw.kind = RawValue::Kind::scalar;
      raw.quoted = json.is_string();
      raw.scalar = json.is_string() ? json.get<std::string>() : to_text(json);
      return raw;
  }
}

std::string quote(const std::string& text) {
  try {
    return to_text(Json(text));
  } catch (const Error&) {
    throw Error(ErrorKind::usage, "a value for run.yaml is not UTF-8", {}, "rename the file or folder");
  }
}

/// Plain in YAML only where no reader could take it for anything but this text.
std::string yaml_text(const std::string& text) {
  static const char* const reserved[] = {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"};
  const bool plain = !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '/') &&
                     std::all_of(text.begin(), text.end(), [](unsigned char c) {
                       return (c < 128 && std::isalnum(c)) || c == '_' || c == '-' || c == '.' || c == '/';
                     });
  if (plain && std::find(std::begin(reserved), std::end(reserved), lower(text)) == std::end(reserved))
    return text;
  return quote(text);
}

void check_number(const KeyInfo& info, double value, const std::string& where) {
  const bool low = info.above_least ? value <= info.least : value < info.least;
  const bool high = info.below_most ? value >= info.most : value > info.most;
  const bool uneven = info.power_of_two && (value < 1 || std::exp2(std::round(std::log2(value))) != value);
  if (low || high || uneven || !std::isfinite(value)) {
    const std::string got = info.type == KeyType::size ? fmt::format("{} bytes", value) : number_text(value);
    wrong(info, got, where);
  }
}

std::string range_text(const KeyInfo& info) {
  const bool least = std::isfinite(info.least);
  const bool most = std::isfinite(info.most) && info.most < 1e15;
  if (info.above_least && info.below_most)
    return fmt::format("between {} and {}", number_text(info.least), number_text(info.most));
  if (least && most && info.below_most)
    return fmt::format("from {} to below {}", number_text(info.least), number_text(info.most));
  if (least && most) return fmt::format("{} to {}", number_text(info.least), number_text(info.most));
  if (least && info.above_least) return fmt::format("above {}", number_text(info.least));
  if (least) return fmt::format("at least {}", number_text(info.least));
  return {};
}

std::string with_range(std::string_view what, const KeyInfo& info) {
  std::string text(what);
  if (const std::string range = range_text(info); !range.empty()) text += ", " + range;
  if (info.power_of_two) text += ", a power of two";
  return text;
}

}  // namespace

std::string number_text(double value) { return fmt::format("{}", value == 0 ? 0.0 : value); }

std::string flag_of(std::string_view key) {
  std::string flag = "--" + std::string(key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string allowed_text(const KeyInfo& info) {
  switch (info.type) {
    case KeyType::boolean:
      return "true or false";
    case KeyType::integer:
      return with_range("a whole number", info);
    case KeyType::number:
      return with_range("a number", info);
    case KeyType::size:
      return "a size such as 6GiB, 512MiB or 1.5GB";
    case KeyType::text:
      return info.path == PathRole::path ? "a path" : "text";
    case KeyType::text_list:
      return info.path == PathRole::path ? "one path or a list" : "a list of texts";
    case KeyType::integer_list:
      return "a list of whole numbers";
    case KeyType::modules:
      return "a list of module names or one regular expression";
    case KeyType::integer_map:
      return "a map from module names to whole numbers";
    case KeyType::number_map:
      return "a map from module names to numbers";
    case KeyType::choice:
      break;
  }
  std::string text;
  for (const Choice& choice : info.choices)
    if (!choice.alias) text += fmt::format("{}{}", text.empty() ? "" : ", ", choice.name);
  return text;
}

RawValue raw_from_flag(const KeyInfo& info, const std::string& text, const std::string& where) {
  RawValue raw;
  raw.kind = RawValue::Kind::scalar;
  raw.scalar = text;
  const size_t first = text.find_first_not_of(" \t\n");
  const char start = first == std::string::npos ? '\0' : text[first];
  const bool json_list = start == '[' && takes_list(info.type);
  if (json_list || takes_map(info.type)) {
    try {
      return raw_from_json(
          parse_json(text, where, {.max_bytes = 1 << 20, .max_depth = 8, .refuse_duplicate_keys = true}));
    } catch (const Error& error) {
      // A regular expression may start with a bracket too.
      if (info.type == KeyType::modules) return raw;
      throw Error(ErrorKind::usage, fmt::format("{} is not JSON: {}", info.name, error.message()), where,
                  takes_map(info.type) ? fmt::format("e.g. {} '{{\"layers.0\": 4}}'", flag_of(info.name))
                                       : fmt::format("e.g. {} '[\"a\",\"b\"]'", flag_of(info.name)));
    }
  }
  if (!takes_list(info.type)) return raw;
  // Commas also stand in regular expressions ("{1,2}"), so a comma-separated module list holds names only.
  std::vector<RawValue> items;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    RawValue item;
    item.kind = RawValue::Kind::scalar;
    item.scalar = text.substr(begin, end - begin);
    const size_t left = item.scalar.find_first_not_of(' ');
    item.scalar = left == std::string::npos
                      ? ""
                      : item.scalar.substr(left, item.scalar.find_last_not_of(' ') - left + 1);
    items.push_back(std::move(item));
    begin = end + 1;
  }
  if (info.type == KeyType::modules) {
    const bool names = items.size() > 1 && std::all_of(items.begin(), items.end(), [](const RawValue& item) {
                         return !item.scalar.empty() &&
                                std::all_of(item.scalar.begin(), item.scalar.end(), [](unsigned char c) {
                                  return std::isalnum(c) || c == '_' || c == '.';
                                });
                       });
    if (!names) return raw;
  }
  if (items.size() == 1 && is_none_word(info, raw)) return raw;
  raw.kind = RawValue::Kind::list;
  raw.items = std::move(items);
  return raw;
}

KeyValue convert(const KeyInfo& info, const RawValue& raw, const std::string& where) {
  if (is_none_word(info, raw)) {
    if (info.optional) return std::monostate{};
    if (info.type == KeyType::text_list) return std::vector<std::string>{};
    if (info.type == KeyType::integer_list) return std::vector<int64_t>{};
    if (takes_map(info.type)) return std::map<std::string, double>{};
    if (info.required) return std::string{};  // the command that needs it says so
    if (info.type != KeyType::choice) wrong(info, "none", where);
  }
  switch (info.type) {
    case KeyType::boolean: {
      const auto value = read_bool(scalar_of(info, raw, where));
      if (!value) wrong(info, shown(raw), where);
      return *value;
    }
    case KeyType::integer: {
      const auto value = read_integer(scalar_of(info, raw, where));
      if (!value) wrong(info, shown(raw), where);
      return *value;
    }
    case KeyType::number: {
      const auto value = read_number(scalar_of(info, raw, where));
      if (!value) wrong(info, shown(raw), where);
      return *value;
    }
    case KeyType::size: {
      const uint64_t bytes = parse_size(scalar_of(info, raw, where), where);
      return static_cast<int64_t>(std::min<uint64_t>(bytes, INT64_MAX));
    }
    case KeyType::text: {
      const std::string& text = scalar_of(info, raw, where);
      if (text.find('\0') != std::string::npos) wrong(info, "text with a zero byte", where);
      if (info.path == PathRole::path && text.empty()) wrong(info, "an empty path", where);
      return text;
    }
    case KeyType::choice: {
      const std::string word = lower(scalar_of(info, raw, where));
      std::vector<std::string> words;
      for (const Choice& choice : info.choices) {
        if (choice.name == word) return std::string(detail::choice_name(info.choices, choice.value));
        words.emplace_back(choice.name);
      }
      const std::string best = nearest(word, words);
      throw Error(ErrorKind::usage, fmt::format("{} cannot be {}", info.name, shown(raw)), where,
                  best.empty() ? fmt::format("use one of: {}", allowed_text(info))
                               : fmt::format("did you mean \"{}\"? allowed: {}", best, allowed_text(info)));
    }
    case KeyType::text_list:
      if (raw.kind == RawValue::Kind::scalar) {
        if (raw.scalar.empty()) wrong(info, "an empty text", where);
        return std::vector<std::string>{raw.scalar};
      }
      if (raw.kind != RawValue::Kind::list) wrong(info, shown(raw), where);
      return text_list_of(info, raw, where);
    case KeyType::modules:
      if (raw.kind == RawValue::Kind::scalar) {
        if (raw.scalar.empty()) wrong(info, "an empty text", where);
        if (is_plain_module_name(raw.scalar)) return std::vector<std::string>{raw.scalar};
        return raw.scalar;
      }
      if (raw.kind != RawValue::Kind::list) wrong(info, shown(raw), where);
      if (raw.items.empty()) wrong(info, "an empty list", where);
      return text_list_of(info, raw, where);
    case KeyType::integer_list: {
      std::vector<int64_t> out;
      RawValue one;
      one.items.push_back(raw);
      if (raw.kind == RawValue::Kind::map) wrong(info, shown(raw), where);
      for (const RawValue& item : raw.kind == RawValue::Kind::list ? raw.items : one.items) {
        const auto value = item.kind == RawValue::Kind::scalar ? read_integer(item.scalar) : std::nullopt;
        if (!value) wrong(info, fmt::format("a list that holds {}", shown(item)), where);
        out.push_back(*value);
      }
      return out;
    }
    case KeyType::integer_map:
    case KeyType::number_map: {
      if (raw.kind != RawValue::Kind::map) wrong(info, shown(raw), where);
      std::map<std::string, double> out;
      for (size_t i = 0; i < raw.items.size(); ++i) {
        const std::string& name = raw.names[i];
        const RawValue& item = raw.items[i];
        const auto value = item.kind == RawValue::Kind::scalar ? read_number(item.scalar) : std::nullopt;
        const bool whole = value && *value == std::floor(*value);
        if (!value || (info.type == KeyType::integer_map && !whole))
          wrong(info, fmt::format("a map where \"{}\" is {}", name, shown(item)), where);
        out[name] = *value;
      }
      return out;
    }
  }
  throw Error(ErrorKind::internal, "unknown key type", where);
}

void check(const KeyInfo& info, const KeyValue& value, const KeyValue& fallback, const std::string& where) {
  if (!info.built && value != fallback)
    throw Error(ErrorKind::unsupported, fmt::format("{} is not yet supported", info.name), where,
                fmt::format("leave it out (default: {})", value_text(info, fallback)));
  if (info.type == KeyType::choice) {
    const auto& word = std::get<std::string>(value);
    std::string built;
    bool available = false;
    for (const Choice& choice : info.choices) {
      if (choice.alias || !choice.built) continue;
      available = available || choice.name == word;
      built += fmt::format("{}{}", built.empty() ? "" : ", ", choice.name);
    }
    if (!available)
      throw Error(ErrorKind::unsupported, fmt::format("{} \"{}\" is not yet supported", info.name, word),
                  where, fmt::format("use one of: {}", built));
  }
  if (const auto* integer = std::get_if<int64_t>(&value))
    check_number(info, static_cast<double>(*integer), where);
  if (const auto* number = std::get_if<double>(&value)) check_number(info, *number, where);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value))
    for (int64_t item : *list) check_number(info, static_cast<double>(item), where);
  if (const auto* map = std::get_if<std::map<std::string, double>>(&value))
    for (const auto& [name, item] : *map) check_number(info, item, where);
}

std::string value_yaml(const KeyInfo& info, const KeyValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return "null";
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (info.type == KeyType::choice) return *text;
    if (text->empty() && info.required) return "null";
    return yaml_text(*text);
  }
  std::string out;
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& item : *list) out += (out.empty() ? "" : ", ") + quote(item);
    return "[" + out + "]";
  }
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    for (int64_t item : *list) out += fmt::format("{}{}", out.empty() ? "" : ", ", item);
    return "[" + out + "]";
  }
  for (const auto& [name, number] : std::get<std::map<std::string, double>>(value))
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", quote(name), number_text(number));
  return "{" + out + "}";
}

std::string value_text(const KeyInfo& info, const KeyValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return "none";
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    std::string out;
    for (const std::string& item : *list) out += (out.empty() ? "" : ",") + item;
    return out.empty() ? "none" : out;
  }
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value); list && list->empty()) return "none";
  return value_yaml(info, value);
}

}  // namespace lorikeet
