#include "io/paged_buffer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"
#include "io/folder.h"

namespace lorikeet {
namespace {

/// A file without a name, or where the file system cannot make one, a file whose name is gone at once.
int nameless_file(const std::string& folder) {
  const int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  const std::string path = temporary_name(folder + "/paged");
  const int named = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (named >= 0) unlink(path.c_str());
  return named;
}

}  // namespace

Buffer paged_buffer(size_t bytes, const char* what, const std::string& folder) {
  if (bytes == 0) return {};
  ignore_file_size_signal();
  const auto fail = [&](const char* action, int error_number) {
    throw Error(ErrorKind::resource,
                fmt::format("cannot {} a file of {} bytes for the {} in '{}': {}", action, bytes, what,
                            folder, errno_text(error_number)),
                folder, disk_error_fix(error_number));
  };
  const int fd = nameless_file(folder);
  if (fd < 0) fail("create", errno);
  void* memory = MAP_FAILED;
  const int allocated = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (allocated == 0) memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int map_error = errno;
  close(fd);
  if (allocated != 0) fail("claim", allocated);
  if (memory == MAP_FAILED) fail("map", map_error);
  return Buffer::adopt(static_cast<std::byte*>(memory), bytes);
}

}  // namespace lorikeet
