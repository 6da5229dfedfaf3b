#include "train/metrics_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/json.h"

namespace lorikeet {

namespace {

/// The lines of whole objects with a step of at most `last`.
std::string lines_up_to(const std::string& text, int64_t last) {
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;  // cut off by a crash
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    try {
      const Json object = parse_json(line, "metrics.jsonl");
      if (object.is_object() && object.value("step", INT64_MAX) <= last) kept += line + "\n";
    } catch (const std::exception&) {
      continue;  // no line of ours
    }
  }
  return kept;
}

}  // namespace

MetricsFile::MetricsFile(const std::string& folder, int64_t resumed_at) : path_(folder + "/metrics.jsonl") {
  std::error_code ignored;
  const bool has_content = std::filesystem::file_size(path_, ignored) > 0 && !ignored;
  if (has_content)
    write_file_atomic(path_,
                      resumed_at > 0 ? lines_up_to(read_text_file(path_, size_t{1} << 30), resumed_at) : "");
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0)
    throw Error(ErrorKind::resource, fmt::format("cannot write '{}': {}", path_, errno_text(errno)), path_);
}

MetricsFile::~MetricsFile() {
  if (fd_ >= 0) close(fd_);
}

void MetricsFile::append(const StepReport& r) {
  Json object = Json::object();
  object["step"] = r.step;
  object["epoch"] = r.epoch;
  object["loss"] = r.loss;
  object["grad_norm"] = r.grad_norm;
  object["learning_rate"] = r.learning_rate;
  object["tokens"] = r.tokens;
  object["tokens_per_second"] = r.tokens_per_second;
  object["seconds"] = r.seconds;
  object["peak_bytes"] = r.peak_bytes;
  const std::string line = to_text(object) + "\n";
  // One write per line: readers and crashes see whole lines.
  ssize_t n = 0;
  do n = write(fd_, line.data(), line.size());
  while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(line.size()))
    throw Error(ErrorKind::resource,
                fmt::format("cannot write '{}': {}", path_, n < 0 ? errno_text(errno) : "the disk is full"),
                path_);
}

}  // namespace lorikeet
