#include "cli/output.h"

#include <unistd.h>

#include <cerrno>

#include "cli/terminal.h"
#include "core/error.h"

namespace lorikeet::cli {
namespace {

constexpr size_t kBufferBytes = 1 << 16;
bool quiet_flag = false;

/// Returns 0 or errno.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return 0;
}

}  // namespace

void Output::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::line(std::string_view text) {
  buffer_ += text;
  buffer_ += '\n';
  if (buffer_.size() >= kBufferBytes || is_terminal(STDOUT_FILENO)) flush();
}

void Output::json(const Json& value) { line(to_text(value)); }

void Output::flush() {
  if (buffer_.empty()) return;
  std::string text;
  text.swap(buffer_);  // emptied first: what failed once is not tried again on the way out
  const int failed = write_all(STDOUT_FILENO, text);
  if (failed == EPIPE) throw ReaderGone{};
  if (failed != 0)
    throw Error(ErrorKind::resource,
                fmt::format("{} bytes of output cannot be written: {}", text.size(), errno_text(failed)),
                "standard output", "free space, or write the output elsewhere");
}

Output& out() {
  static Output output;
  return output;
}

void note(std::string_view text) { write_all(STDERR_FILENO, text); }

void set_quiet(bool quiet) { quiet_flag = quiet; }
bool is_quiet() { return quiet_flag; }

void warn(std::string_view text) { note(fmt::format("warning: {}\n", printable(text))); }

}  // namespace lorikeet::cli
