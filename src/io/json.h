#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lorikeet {

/// JSON that keeps the order of its keys. Look-ups in an object are linear: iterate over big ones.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = 128;
  /// Off: the last of equal keys wins, as in Python. On: Error(format) that names the key.
  bool refuse_duplicate_keys = false;
};

/// Parses UTF-8 JSON text. `source` names it in errors (a path). Throws Error(format) with line and column
/// for bad syntax, bad UTF-8 or a broken limit; time and memory are linear in the text. Integers beyond 64
/// bits become doubles.
Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits = {});

/// Reads and parses a file. Throws Error(usage) if it does not exist or is a folder, Error(resource) if it
/// cannot be read, Error(format) as parse_json, also for an empty file.
Json read_json_file(const std::string& path, const JsonLimits& limits = {});

/// A whole file as text. Throws as read_json_file; a file over `max_bytes` is Error(format).
std::string read_text_file(const std::string& path, size_t max_bytes = size_t{64} << 20);

/// Text of `value`; indent < 0 is one line. Throws Error(format) if a string in it is not UTF-8.
std::string to_text(const Json& value, int indent = -1);

// Typed access. `where` names file and field in the Error(format) that tells the wanted and the found type.
int64_t json_int(const Json& value, const std::string& where);  ///< a whole number; 2.0 counts as one
double json_number(const Json& value, const std::string& where);
bool json_bool(const Json& value, const std::string& where);
const std::string& json_string(const Json& value, const std::string& where);

/// 1-based line and column (in bytes) of a byte offset, as "line 3, column 14".
std::string line_and_column(std::string_view text, size_t offset);

}  // namespace lorikeet
