#include "cli/text_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lorikeet::cli {

std::string with_commas(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string gib_number(uint64_t bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes) / 0x1p30); }

std::string in_gib(uint64_t bytes) { return gib_number(bytes) + " GiB"; }

std::string in_bytes(uint64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  if (size < 999.5e3) return fmt::format("{:.1f} kB", size / 1e3);
  if (size < 999.5e6) return fmt::format("{:.1f} MB", size / 1e6);
  return fmt::format("{:.2f} GB", size / 1e9);
}

std::string in_millions(int64_t count) {
  const auto number = static_cast<double>(count);
  if (count < 1'000'000) return with_commas(count);
  if (number < 10e6) return fmt::format("{:.2f} M", number / 1e6);
  if (number < 999.95e6) return fmt::format("{:.1f} M", number / 1e6);
  return fmt::format("{:.2f} B", number / 1e9);
}

std::string as_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string as_clock(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole % 3600 / 60, whole % 60);
}

std::string as_percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::string as_loss(double loss) { return fmt::format("{:.4g}", loss); }

int columns_of(const std::string& text) {
  return static_cast<int>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string shown_columns_cut(const std::string& text, int columns) {
  if (columns_of(text) <= columns) return text;
  std::string out;
  int left = columns - 1;
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && left-- == 0) break;
    out += c;
  }
  return out + "…";
}

std::string table_text(const std::vector<std::vector<std::string>>& rows, const std::string& align) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], columns_of(row[c]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string fill(static_cast<size_t>(widths[c] - columns_of(row[c])), ' ');
      const bool right = c < align.size() && align[c] == 'r';
      line += (c ? "  " : "") + (right ? fill + row[c] : row[c] + fill);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace lorikeet::cli
