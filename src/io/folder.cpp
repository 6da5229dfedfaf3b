#include "io/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>

#include "core/error.h"

namespace lorikeet {

void ignore_file_size_signal() {
  static const bool done = [] {
    struct sigaction old {};
    if (sigaction(SIGXFSZ, nullptr, &old) == 0 && old.sa_handler == SIG_DFL) signal(SIGXFSZ, SIG_IGN);
    return true;
  }();
  (void)done;
}

const char* disk_error_fix(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free disk space or choose another folder";
    case EFBIG:
      return "raise the file size limit (ulimit -f) or choose another file system";
    case EACCES:
    case EROFS:
    case EPERM:
      return "choose a folder you may write to";
    default:
      return "";
  }
}

std::string parent_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  const size_t slash = end == std::string::npos ? std::string::npos : path.rfind('/', end);
  if (end == std::string::npos) return "/";
  if (slash == std::string::npos) return ".";
  const size_t keep = path.find_last_not_of('/', slash);
  return keep == std::string::npos ? "/" : path.substr(0, keep + 1);
}

std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  const std::string parent = parent_of(path);
  std::string name = path.substr(0, path.find_last_not_of('/') + 1);
  name = name.substr(name.rfind('/') + 1);
  // A long name must leave room for the ending, or the file system refuses it (255 bytes).
  name.resize(std::min(name.size(), size_t{200}));
  return fmt::format("{}/.{}.tmp-{}-{}", parent == "/" ? "" : parent, name, getpid(), counter++);
}

void sync_folder(const std::string& folder) noexcept {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

void make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && std::filesystem::is_directory(path, error)) return;
  if (error == std::errc::file_exists || error == std::errc::not_a_directory || !error) {
    throw Error(ErrorKind::usage, fmt::format("'{}' cannot be a folder: a file is in the way", path), path,
                "choose another name or remove the file");
  }
  throw Error(ErrorKind::resource, fmt::format("cannot create the folder '{}': {}", path, error.message()),
              path, "choose a folder you may write to");
}

void remove_folder(const std::string& path) noexcept {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace lorikeet
