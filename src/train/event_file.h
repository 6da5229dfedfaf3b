#pragma once
// TensorBoard event files, written without any library: TFRecord frames around small protobuf messages.
// Source: tensorflow/core/lib/io/record_writer.cc, tensorflow/core/util/event.proto, summary.proto.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

/// CRC-32C (Castagnoli).
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

/// One frame: length, its masked checksum, the bytes, their masked checksum.
std::string tf_record(std::string_view bytes);

/// The event that opens a file.
std::string version_event(double wall_time);
/// An event with scalar values at `step`.
std::string scalar_event(double wall_time, int64_t step,
                         const std::vector<std::pair<std::string, float>>& values);

/// Appends events to a file of its own in `folder`; every record is handed to the system at once, so that a
/// viewer follows the run and a crash leaves whole records.
class EventFile {
 public:
  /// Creates events.out.tfevents.<time>.<host>.<process>.<number>. Throws Error(resource).
  explicit EventFile(const std::string& folder);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  void scalars(int64_t step, const std::vector<std::pair<std::string, float>>& values);
  const std::string& path() const { return path_; }

 private:
  void append(const std::string& event);
  std::string path_;
  int fd_ = -1;
};

}  // namespace lorikeet
