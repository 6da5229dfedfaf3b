#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

/// The end of the CSV record (RFC 4180) that begins at `begin`: the position of its line break, or of the
/// text's end. Line breaks inside quotes belong to the record. `lines` grows by the line breaks inside it.
size_t csv_record_end(std::string_view text, size_t begin, size_t& lines);

/// The fields of one record without its line break. Throws Error(format) with `where` for a quote that is not
/// closed or stands inside an unquoted field.
std::vector<std::string> csv_fields(std::string_view record, const std::string& where);

}  // namespace lorikeet
