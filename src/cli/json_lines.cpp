#include "cli/json_lines.h"

#include <string_view>

#include "core/error.h"
#include "io/mapped_file.h"

namespace lorikeet::cli {

void for_each_json_line(const std::string& path,
                        const std::function<void(const Json&, const std::string&)>& row) {
  const MappedFile file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    ++number;
    begin = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}, line {}", path, number);
    row(parse_json(line, where), where);
  }
}

}  // namespace lorikeet::cli
