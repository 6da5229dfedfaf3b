#pragma once
#include <string>
#include <string_view>

#include "io/json.h"

namespace lorikeet::cli {

/// Thrown when the reader of standard output has gone; ends the process without a message.
struct ReaderGone {};

/// Standard output, buffered: data only. Throws Error(resource) if it cannot be written, ReaderGone on a
/// closed pipe.
class Output {
 public:
  void write(std::string_view text);
  void line(std::string_view text);
  /// One JSON value on one line. Throws Error(format) if a string in it is not UTF-8.
  void json(const Json& value);
  /// Hands everything to the system; `line` does so by itself on a terminal.
  void flush();

 private:
  std::string buffer_;
};

Output& out();

/// Text on standard error, for progress, warnings and notes; failures to write are ignored.
void note(std::string_view text);

/// Progress and notes of the run may be silenced by --quiet; warnings and errors are not.
void set_quiet(bool quiet);
bool is_quiet();

/// "warning: ..." on standard error.
void warn(std::string_view text);

}  // namespace lorikeet::cli
