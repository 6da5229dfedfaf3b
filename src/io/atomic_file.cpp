#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/error.h"
#include "io/folder.h"

namespace lorikeet {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr size_t kMaxWrite = size_t{64} << 20;

std::string resolve_link(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (!resolved) return path;  // absent, or a dangling link that rename() then replaces
  std::string result = resolved;
  free(resolved);
  return result;
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  ignore_file_size_signal();
  target_ = resolve_link(path_);
  struct stat info {};
  const bool exists = stat(target_.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    throw Error(ErrorKind::usage, fmt::format("'{}' is a folder, a file is to be written", path_), path_,
                "name a file in it");
  }
  if (exists && !S_ISREG(info.st_mode)) {  // a device or pipe cannot be replaced
    fd_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) fail("open", errno, 0);
    return;
  }
  temporary_ = temporary_name(target_);
  fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    const int error = errno;
    temporary_.clear();
    if (error == ENOENT || error == ENOTDIR) {
      throw Error(ErrorKind::usage, fmt::format("the folder of '{}' does not exist", path_), path_,
                  "create it first");
    }
    fail("create", error, 0);
  }
  if (exists && fchmod(fd_, info.st_mode & 07777) != 0) {
    const int error = errno;
    discard();
    fail("set the permissions of", error, 0);
  }
}

AtomicFile::~AtomicFile() { discard(); }

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      target_(std::move(other.target_)),
      fd_(std::exchange(other.fd_, -1)),
      appended_(other.appended_),
      buffer_(std::exchange(other.buffer_, {})) {}

void AtomicFile::append(std::span<const std::byte> bytes) {
  appended_ += bytes.size();
  if (buffer_.size() + bytes.size() >= kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) return write_all(bytes.data(), bytes.size(), -1);
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void AtomicFile::append(std::string_view text) { append(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  LORIKEET_CHECK(offset <= INT64_MAX && bytes.size() <= INT64_MAX - offset);
  flush();
  write_all(bytes.data(), bytes.size(), static_cast<int64_t>(offset));
}

void AtomicFile::reserve(uint64_t bytes) {
  if (temporary_.empty() || bytes == 0) return;
  LORIKEET_CHECK(bytes <= INT64_MAX);
  if (fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) == 0) return;
  if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT) fail("write", errno, bytes);
}

void AtomicFile::commit() {
  LORIKEET_CHECK(fd_ >= 0);
  flush();
  // A pipe or terminal has nothing to sync and says so with EINVAL or ENOTSUP.
  if (fsync(fd_) != 0 && !(temporary_.empty() && (errno == EINVAL || errno == ENOTSUP))) {
    fail("flush to disk", errno, appended_);
  }
  const int closed = close(std::exchange(fd_, -1));
  if (closed != 0 && errno != EINTR) fail("close", errno, appended_);
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail("rename to", errno, appended_);
  temporary_.clear();
  sync_folder(parent_of(target_));
}

void AtomicFile::flush() {
  if (buffer_.empty()) return;
  write_all(reinterpret_cast<const std::byte*>(buffer_.data()), buffer_.size(), -1);
  buffer_.clear();
}

void AtomicFile::write_all(const std::byte* data, size_t size, int64_t offset) {
  LORIKEET_CHECK(fd_ >= 0);
  size_t done = 0;
  while (done < size) {
    const size_t n = std::min(size - done, kMaxWrite);
    const ssize_t written = offset < 0 ? write(fd_, data + done, n)
                                       : pwrite(fd_, data + done, n, offset + static_cast<int64_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", errno, size);
    if (written == 0) fail("write", ENOSPC, size);
    done += static_cast<size_t>(written);
  }
}

void AtomicFile::fail(const char* action, int error_number, uint64_t bytes) const {
  throw Error(ErrorKind::resource,
              fmt::format("cannot {} '{}': {}{}", action, path_, errno_text(error_number),
                          bytes ? fmt::format(" ({} bytes)", bytes) : std::string()),
              path_, disk_error_fix(error_number));
}

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

void write_file_atomic(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.append(content);
  file.commit();
}

}  // namespace lorikeet
