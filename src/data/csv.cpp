#include "data/csv.h"

#include "core/error.h"

namespace lorikeet {

size_t csv_record_end(std::string_view text, size_t begin, size_t& lines) {
  bool quoted = false;  // a doubled quote inside quotes toggles twice
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] != '\n') continue;
    if (!quoted) return i;
    ++lines;
  }
  return text.size();
}

std::vector<std::string> csv_fields(std::string_view record, const std::string& where) {
  std::vector<std::string> fields;
  size_t i = 0;
  while (true) {
    std::string field;
    if (i < record.size() && record[i] == '"') {
      for (++i;; ++i) {
        if (i >= record.size())
          throw Error(ErrorKind::format,
                      fmt::format("field {} of the CSV record has no closing quote", fields.size() + 1),
                      where);
        if (record[i] != '"') {
          field += record[i];
        } else if (i + 1 < record.size() && record[i + 1] == '"') {
          field += record[i++];
        } else {
          break;
        }
      }
      ++i;
      if (i < record.size() && record[i] != ',')
        throw Error(
            ErrorKind::format,
            fmt::format("field {} of the CSV record goes on after its closing quote", fields.size() + 1),
            where, "write a quote inside a quoted field twice");
    } else {
      for (; i < record.size() && record[i] != ','; ++i) {
        if (record[i] == '"')
          throw Error(ErrorKind::format,
                      fmt::format("field {} of the CSV record has a quote but does not begin with one",
                                  fields.size() + 1),
                      where, "quote the whole field and write quotes inside it twice");
        field += record[i];
      }
    }
    fields.push_back(std::move(field));
    if (i >= record.size()) return fields;
    ++i;  // the comma
  }
}

}  // namespace lorikeet
