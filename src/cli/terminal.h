#pragma once
#include <string>
#include <string_view>

namespace lorikeet::cli {

bool is_terminal(int fd);
/// True on a terminal, unless NO_COLOR is set or TERM is "dumb".
bool has_colour(int fd);
/// Columns of the terminal, between 40 and 120; 80 where there is none.
int terminal_width(int fd);

/// `text` with control characters as \xNN, so that a file's content cannot steer the terminal.
/// Line breaks and tabs become spaces.
std::string printable(std::string_view text);

}  // namespace lorikeet::cli
