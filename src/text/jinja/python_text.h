#pragma once
// Values as text, the way Python writes them.
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/interpreter.h"

namespace lorikeet::jinja {

/// str(value) and repr(value).
std::string to_str(Interpreter& interpreter, const Value& value);
std::string to_repr(Interpreter& interpreter, const Value& value);
/// repr of a float: the shortest digits that read back as the same number.
std::string float_repr(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  ///< of one level; nothing: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
/// json.dumps(value). Fails for what JSON cannot hold.
std::string to_json(Interpreter& interpreter, const Value& value, const JsonStyle& style);
/// HTML escapes, as markupsafe.escape.
std::string escape_html(std::string_view text);

}  // namespace lorikeet::jinja
