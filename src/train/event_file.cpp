#include "train/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/error.h"
#include "io/folder.h"

namespace lorikeet {

namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) ? 0x82F63B78U : 0U);
    table[i] = c;
  }
  return table;
}

template <class T>
void put_fixed(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value,
              sizeof value);  // protobuf and TFRecord are little-endian, as every supported machine
  out.append(bytes, sizeof value);
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

enum class Wire : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
void put_tag(std::string& out, uint32_t field, Wire wire) {
  put_varint(out, (field << 3) | static_cast<uint32_t>(wire));
}
void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_tag(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

// TFRecord rotates checksums, since data that holds its own checksum weakens it.
uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U; }

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t crc) {
  static constexpr std::array<uint32_t, 256> table = make_table();
  crc = ~crc;
  for (const char c : bytes) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

std::string tf_record(std::string_view bytes) {
  std::string length, out;
  put_fixed(length, static_cast<uint64_t>(bytes.size()));
  out = length;
  put_fixed(out, masked(crc32c(length)));
  out += bytes;
  put_fixed(out, masked(crc32c(bytes)));
  return out;
}

std::string version_event(double wall_time) {
  std::string event;
  put_tag(event, 1, Wire::fixed64);
  put_fixed(event, wall_time);
  put_bytes(event, 3, "brain.Event:2");
  return event;
}

std::string scalar_event(double wall_time, int64_t step,
                         const std::vector<std::pair<std::string, float>>& values) {
  std::string summary;
  for (const auto& [tag, number] : values) {
    std::string value;
    put_bytes(value, 1, tag);
    put_tag(value, 2, Wire::fixed32);
    put_fixed(value, number);
    put_bytes(summary, 1, value);
  }
  std::string event;
  put_tag(event, 1, Wire::fixed64);
  put_fixed(event, wall_time);
  put_tag(event, 2, Wire::varint);
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);
  return event;
}

EventFile::EventFile(const std::string& folder) {
  make_folders(folder);
  char host[256] = "localhost";
  gethostname(host, sizeof host - 1);
  static std::atomic<int> files{0};  // of this process: two in one second must not share a name
  path_ = fmt::format("{}/events.out.tfevents.{}.{}.{}.{}", folder, static_cast<int64_t>(now()), host,
                      getpid(), files++);
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0)
    throw Error(ErrorKind::resource, fmt::format("cannot create '{}': {}", path_, errno_text(errno)), path_);
  append(version_event(now()));
}

EventFile::~EventFile() {
  if (fd_ >= 0) close(fd_);
}

void EventFile::scalars(int64_t step, const std::vector<std::pair<std::string, float>>& values) {
  append(scalar_event(now(), step, values));
}

void EventFile::append(const std::string& event) {
  const std::string record = tf_record(event);
  for (size_t done = 0; done < record.size();) {
    const ssize_t n = write(fd_, record.data() + done, record.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw Error(ErrorKind::resource, fmt::format("cannot write '{}': {}", path_, errno_text(errno)), path_);
    done += static_cast<size_t>(n);
  }
}

}  // namespace lorikeet
