#pragma once
// Numbers as people read them, and plain tables.
#include <cstdint>
#include <string>
#include <vector>

namespace lorikeet::cli {

std::string with_commas(int64_t value);  ///< 148,210
std::string in_gib(uint64_t bytes);      ///< "0.61 GiB"
std::string gib_number(uint64_t bytes);  ///< "0.61"
std::string in_bytes(uint64_t bytes);  ///< "19.6 MB", "58 MB", "412 bytes" (decimal, as file sizes are shown)
std::string in_millions(int64_t count);   ///< "134.5 M", "6.98 B", "4,096"
std::string as_duration(double seconds);  ///< "2 min 17 s", "1 h 04 min", "12.3 s"
std::string as_clock(double seconds);     ///< "1:38", "2:01:05"
std::string as_percent(double share);     ///< "32 %"
std::string as_loss(double loss);         ///< four significant digits
std::string shown_columns_cut(const std::string& text,
                              int columns);  ///< cut with "…" to a number of characters

/// Rows of cells in columns, two spaces apart. Columns whose letter in `align` is 'r' are set to the right.
std::string table_text(const std::vector<std::vector<std::string>>& rows, const std::string& align);

/// Characters of UTF-8 text (not bytes); each counts as one column.
int columns_of(const std::string& text);

}  // namespace lorikeet::cli
