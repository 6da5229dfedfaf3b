#include "data/row_source.h"

#include <simdjson.h>

#include <algorithm>

#include "core/error.h"
#include "data/csv.h"

namespace lorikeet {

namespace {

constexpr size_t kMaxRowBytes = size_t{64} << 20;
constexpr size_t kMaxRows = size_t{1}
                            << 31;  // row numbers are kept in 32 bits by nothing, but by every sane data set
constexpr int kMaxDepth = 128;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool ends_with_csv(std::string_view name) {
  if (name.size() < 4) return false;
  const std::string_view end = name.substr(name.size() - 4);
  return end == ".csv" || end == ".CSV";
}

/// The end of the JSON value that begins at `i`, found by its brackets and strings alone; npos if it does not
/// end.
size_t value_end(std::string_view text, size_t i, int64_t& line) {
  int depth = 0;
  bool in_string = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') {
      if (depth == 0) return i;
      --depth;
    }
    if (c == ',' && depth == 0) return i;
  }
  return std::string_view::npos;
}

}  // namespace

std::string RowPlace::text() const { return fmt::format("{}, line {}", file, line); }
std::string RowPlace::text(const std::string& field) const { return fmt::format("{}, {}", text(), field); }

RowSource::RowSource(const std::vector<std::string>& files) : names_(files) {
  for (uint32_t f = 0; f < names_.size(); ++f) {
    files_.push_back({MappedFile::open(names_[f]), Kind::json, {}});
    const std::string_view text(reinterpret_cast<const char*>(files_[f].mapped.data()),
                                files_[f].mapped.size());
    size_t begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    const size_t rows = rows_.size();
    if (ends_with_csv(names_[f])) {
      files_[f].kind = Kind::csv;
      find_records(f, begin);
    } else {
      size_t first = begin;
      while (first < text.size() && is_space(text[first])) ++first;
      if (first < text.size() && text[first] == '[')
        find_elements(f, first);
      else
        find_lines(f, begin);
    }
    if (rows_.size() == rows)
      throw Error(ErrorKind::format, fmt::format("'{}' holds no rows", names_[f]), names_[f],
                  "give JSON lines, a JSON array of objects, or CSV with a header");
  }
}

void RowSource::add(uint32_t file, size_t begin, size_t end, int64_t line) {
  const RowPlace at{names_[file], line, 0};
  if (end - begin > kMaxRowBytes)
    throw Error(ErrorKind::format,
                fmt::format("a row of {} bytes, at most {} are read", end - begin, kMaxRowBytes), at.text());
  if (rows_.size() >= kMaxRows)
    throw Error(ErrorKind::unsupported, fmt::format("more than {} rows", kMaxRows), at.text());
  rows_.push_back({file, begin, end, line});
}

std::string_view RowSource::text_of(const Row& r) const {
  return {reinterpret_cast<const char*>(files_[r.file].mapped.data()) + r.begin, r.end - r.begin};
}

void RowSource::find_lines(uint32_t file, size_t begin) {
  const std::string_view text = text_of({file, 0, files_[file].mapped.size(), 0});
  int64_t line = 1;
  for (size_t at = begin; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    size_t last = end;
    while (last > at && is_space(text[last - 1])) --last;
    if (last > at) add(file, at, last, line);
    at = end + 1;
  }
}

void RowSource::find_elements(uint32_t file, size_t begin) {
  const std::string_view text = text_of({file, 0, files_[file].mapped.size(), 0});
  int64_t line = 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(begin), '\n');
  size_t at = begin + 1;
  bool after_comma = false;
  while (true) {
    while (at < text.size() && is_space(text[at])) line += text[at++] == '\n';
    if (at < text.size() && text[at] == ']' && !after_comma) break;
    const int64_t first_line = line;
    const size_t end = at < text.size() ? value_end(text, at, line) : std::string_view::npos;
    const RowPlace place{names_[file], first_line, 0};
    if (end == std::string_view::npos)
      throw Error(ErrorKind::format,
                  "the JSON array does not end: the file is cut off or a bracket is missing", place.text());
    if (end == at)
      throw Error(ErrorKind::format, "the JSON array has an empty element", place.text(),
                  "remove the extra comma");
    size_t last = end;
    while (is_space(text[last - 1])) --last;
    add(file, at, last, first_line);
    at = end + 1;
    if (text[end] == ']') {
      --at;
      break;
    }
    if (text[end] == '}')
      throw Error(ErrorKind::format, "the JSON array is closed by '}'",
                  RowPlace{names_[file], line, 0}.text());
    after_comma = true;
  }
  for (++at; at < text.size(); ++at) {
    if (!is_space(text[at]))
      throw Error(ErrorKind::format, "text follows the JSON array", RowPlace{names_[file], line, 0}.text(),
                  "JSON lines hold one object per line, without brackets around them");
    line += text[at] == '\n';
  }
}

void RowSource::find_records(uint32_t file, size_t begin) {
  const std::string_view text = text_of({file, 0, files_[file].mapped.size(), 0});
  int64_t line = 1;
  bool header = true;
  for (size_t at = begin; at < text.size();) {
    size_t inner_lines = 0;
    const size_t end = csv_record_end(text, at, inner_lines);
    size_t last = end;
    if (last > at && text[last - 1] == '\r') --last;
    if (last > at && header) {
      header = false;
      const RowPlace place{names_[file], line, 0};
      auto& columns = files_[file].columns = csv_fields(text.substr(at, last - at), place.text());
      for (size_t i = 0; i < columns.size(); ++i)
        if (std::find(columns.begin(), columns.begin() + static_cast<ptrdiff_t>(i), columns[i]) !=
            columns.begin() + static_cast<ptrdiff_t>(i))
          throw Error(ErrorKind::format,
                      fmt::format("the CSV header names the column \"{}\" twice", columns[i]), place.text());
    } else if (last > at) {
      add(file, at, last, line);
    }
    line += static_cast<int64_t>(inner_lines) + 1;
    at = end + 1;
  }
}

RowPlace RowSource::place(size_t row) const {
  const Row& r = rows_.at(row);
  return {names_[r.file], r.line, static_cast<int64_t>(row) + 1};
}

Json RowSource::row(size_t index) const {
  const Row& r = rows_.at(index);
  const RowPlace at = place(index);
  const std::string_view text = text_of(r);
  if (!simdjson::validate_utf8(text.data(), text.size()))
    throw Error(ErrorKind::format, fmt::format("row {} is not valid UTF-8", at.row), at.text(),
                "save the file as UTF-8");
  const File& file = files_[r.file];
  if (file.kind == Kind::csv) {
    std::vector<std::string> fields = csv_fields(text, at.text());
    if (fields.size() != file.columns.size())
      throw Error(
          ErrorKind::format,
          fmt::format("row {} has {} fields, the header has {}", at.row, fields.size(), file.columns.size()),
          at.text(), "quote fields that hold commas");
    Json object = Json::object();
    for (size_t i = 0; i < fields.size(); ++i) object[file.columns[i]] = std::move(fields[i]);
    return object;
  }
  Json value;
  try {
    value = parse_json(text, {}, {.max_bytes = kMaxRowBytes, .max_depth = kMaxDepth});
  } catch (const Error& e) {
    // The parser counts lines from the row's first one.
    const size_t column = e.where().rfind("column ");
    const size_t line = e.where().rfind("line ");
    const int64_t extra = line == std::string::npos ? 0 : std::atoll(e.where().c_str() + line + 5) - 1;
    const RowPlace exact{at.file, at.line + extra, at.row};
    throw Error(ErrorKind::format, fmt::format("row {} is {}", at.row, e.message()),
                column == std::string::npos ? exact.text() : exact.text(e.where().substr(column)),
                "write one JSON object per line, or one JSON array of objects");
  }
  if (!value.is_object())
    throw Error(ErrorKind::format,
                fmt::format("row {} is a JSON {}, an object is needed", at.row, value.type_name()), at.text(),
                "write one JSON object per line, or one JSON array of objects");
  return value;
}

}  // namespace lorikeet
