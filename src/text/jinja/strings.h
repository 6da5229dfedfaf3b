#pragma once
// Python's str methods on UTF-8.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/interpreter.h"

namespace lorikeet::jinja {

int64_t character_count(std::string_view s);
std::vector<std::string_view> split_characters(std::string_view s);
/// Byte offset of the i-th character (or the end).
size_t byte_offset(std::string_view s, int64_t character);

/// strip/lstrip/rstrip; `characters` nothing: white space.
std::string_view strip(std::string_view s, const std::optional<std::string>& characters, bool left,
                       bool right);
/// split and rsplit; `separator` nothing: runs of white space; `limit` < 0: no limit.
std::vector<std::string_view> split(std::string_view s, const std::optional<std::string>& separator,
                                    int64_t limit);
std::vector<std::string_view> split_from_right(std::string_view s,
                                               const std::optional<std::string>& separator, int64_t limit);
std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends);
/// `count` < 0: all.
std::string replace(Interpreter& interpreter, std::string_view s, std::string_view from, std::string_view to,
                    int64_t count);

std::string upper(std::string_view s);
std::string lower(std::string_view s);
std::string title(std::string_view s);
std::string capitalize(std::string_view s);

/// "%s %d" % arguments.
std::string percent_format(Interpreter& interpreter, std::string_view format, const Value& arguments);

}  // namespace lorikeet::jinja
