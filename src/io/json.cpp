#include "io/json.h"

#include <cmath>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "io/mapped_file.h"

namespace lorikeet {
namespace {

// Builds the document without ordered_json's linear key search, so that an object of a million keys costs
// linear time.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& source, const JsonLimits& limits)
      : text_(text), source_(source), limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool v) override { return add(v); }
  bool number_integer(int64_t v) override { return add(v); }
  bool number_unsigned(uint64_t v) override { return add(v); }
  bool number_float(double v, const std::string& token) override {
    if (!std::isfinite(v)) {
      throw Error(ErrorKind::format, fmt::format("the number {} is out of range", token.substr(0, 40)),
                  source_);
    }
    return add(v);
  }
  bool string(std::string& v) override { return add(std::move(v)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    Level& level = levels_.back();
    auto& members = level.value->get_ref<Json::object_t&>();
    const auto [at, is_new] = level.index.emplace(name, members.size());
    if (!is_new && limits_.refuse_duplicate_keys) {
      throw Error(ErrorKind::format, fmt::format("the key \"{}\" occurs twice in one object", name), source_,
                  "remove one of the two");
    }
    if (is_new) static_cast<Members&>(members).emplace_back(std::move(name), Json());
    level.slot = at->second;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    // nlohmann's text is "[json.exception...] parse error at line.., column ..: syntax error while ...:
    // reason".
    std::string reason = e.what();
    if (const size_t colon = reason.find(": "); colon != std::string::npos) reason = reason.substr(colon + 2);
    if (reason.size() > 300) reason = reason.substr(0, 300) + "...";
    const size_t offset = position > 0 ? position - 1 : 0;  // the parser counts the character it stopped at
    throw Error(ErrorKind::format, "not valid JSON: " + printable(reason),
                fmt::format("{}, {}", source_, line_and_column(text_, offset)));
  }

  Json take() { return std::move(root_); }

 private:
  using Members = std::vector<std::pair<const std::string, Json>>;  // the base class of ordered_json's object
  struct Level {
    Json* value = nullptr;
    size_t slot = 0;
    std::unordered_map<std::string, size_t> index;
  };

  // The parser quotes the offending bytes; what is not UTF-8 must not reach a terminal.
  static std::string printable(std::string s) {
    for (char& c : s) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    }
    return s;
  }

  Json* place(Json&& value) {
    if (levels_.empty()) return &(root_ = std::move(value));
    Level& level = levels_.back();
    if (level.value->is_array()) {
      auto& elements = level.value->get_ref<Json::array_t&>();
      elements.push_back(std::move(value));
      return &elements.back();
    }
    auto& members = static_cast<Members&>(level.value->get_ref<Json::object_t&>());
    return &(members[level.slot].second = std::move(value));
  }
  bool add(Json&& value) { return place(std::move(value)), true; }
  bool open(Json&& value) {
    if (levels_.size() >= static_cast<size_t>(limits_.max_depth)) {
      throw Error(ErrorKind::format, fmt::format("JSON is nested deeper than {} levels", limits_.max_depth),
                  source_);
    }
    levels_.push_back({place(std::move(value)), 0, {}});
    return true;
  }
  bool close() { return levels_.pop_back(), true; }

  std::string_view text_;
  const std::string& source_;
  const JsonLimits& limits_;
  Json root_;
  std::vector<Level> levels_;
};

[[noreturn]] void wrong_type(const Json& value, const char* wanted, const std::string& where) {
  throw Error(ErrorKind::format, fmt::format("{} is needed, found {}", wanted, value.type_name()), where);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw Error(ErrorKind::format,
                fmt::format("JSON of {} bytes, at most {} are read", text.size(), limits.max_bytes), source);
  }
  Builder builder(text, source, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

Json read_json_file(const std::string& path, const JsonLimits& limits) {
  const MappedFile file = MappedFile::open(path);
  return parse_json({reinterpret_cast<const char*>(file.data()), file.size()}, path, limits);
}

std::string read_text_file(const std::string& path, size_t max_bytes) {
  const MappedFile file = MappedFile::open(path);
  if (file.size() > max_bytes) {
    throw Error(ErrorKind::format,
                fmt::format("'{}' has {} bytes, at most {} are read", path, file.size(), max_bytes), path);
  }
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

std::string to_text(const Json& value, int indent) {
  try {
    return value.dump(indent);
  } catch (const nlohmann::detail::exception&) {
    throw Error(ErrorKind::format, "a text that is to be written as JSON is not valid UTF-8");
  }
}

int64_t json_int(const Json& value, const std::string& where) {
  if (value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX) return value.get<int64_t>();
  if (value.is_number_integer() && !value.is_number_unsigned()) return value.get<int64_t>();
  if (value.is_number_float()) {
    const double d = value.get<double>();
    if (std::trunc(d) == d && std::abs(d) < 0x1p63) return static_cast<int64_t>(d);
    throw Error(ErrorKind::format, fmt::format("a whole number is needed, found {}", d), where);
  }
  wrong_type(value, "a whole number", where);
}

double json_number(const Json& value, const std::string& where) {
  if (!value.is_number()) wrong_type(value, "a number", where);
  return value.get<double>();
}

bool json_bool(const Json& value, const std::string& where) {
  if (!value.is_boolean()) wrong_type(value, "true or false", where);
  return value.get<bool>();
}

const std::string& json_string(const Json& value, const std::string& where) {
  if (!value.is_string()) wrong_type(value, "a string", where);
  return value.get_ref<const std::string&>();
}

std::string line_and_column(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  size_t line = 1;
  for (const char c : before) line += c == '\n';
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return fmt::format("line {}, column {}", line, column + 1);
}

}  // namespace lorikeet
