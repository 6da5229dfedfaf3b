#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/error.h"

namespace lorikeet {

MappedFile::Identity MappedFile::identity_of(const struct ::stat& info) {
  return {info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size), info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

MappedFile MappedFile::open(const std::string& path) {
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // non-blocking: a pipe must not hang us
  if (fd < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      throw Error(ErrorKind::usage, fmt::format("'{}' does not exist", path), path, "check the path");
    }
    throw Error(ErrorKind::resource, fmt::format("cannot open '{}': {}", path, errno_text(error)), path);
  }
  struct stat info {};
  const bool known = fstat(fd, &info) == 0;
  const int stat_error = errno;
  MappedFile file;
  file.path_ = path;
  void* memory = MAP_FAILED;
  int map_error = 0;
  if (known && S_ISREG(info.st_mode) && info.st_size > 0) {
    memory = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    map_error = errno;
  }
  close(fd);
  if (!known)
    throw Error(ErrorKind::resource, fmt::format("cannot read '{}': {}", path, errno_text(stat_error)), path);
  if (S_ISDIR(info.st_mode)) {
    throw Error(ErrorKind::usage, fmt::format("'{}' is a folder, a file is needed", path), path,
                "name a file in it");
  }
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorKind::usage, fmt::format("'{}' is not a regular file", path), path,
                "copy its content to a file");
  }
  if (info.st_size == 0) {
    throw Error(ErrorKind::format, fmt::format("'{}' is empty (0 bytes)", path), path,
                "fetch or write the file again");
  }
  if (memory == MAP_FAILED) {
    throw Error(ErrorKind::resource,
                fmt::format("cannot map '{}' ({} bytes): {}", path, info.st_size, errno_text(map_error)),
                path);
  }
  file.data_ = static_cast<const std::byte*>(memory);
  file.size_ = static_cast<size_t>(info.st_size);
  file.identity_ = identity_of(info);
  return file;
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  return *this;
}

void MappedFile::release(size_t offset, size_t size) const {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (offset >= size_) return;
  // Inwards, so that a page shared with a neighbouring tensor stays; the last page of the file has no
  // neighbour.
  const size_t end =
      size >= size_ - offset ? (size_ + page - 1) / page * page : (offset + size) / page * page;
  const size_t begin = (offset + page - 1) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

void MappedFile::prefetch(size_t offset, size_t size) const {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (offset >= size_) return;
  // The kernel reads no more at a time than the device's read-ahead, 128 KiB unless somebody raised it, and
  // forgets the rest.
  constexpr size_t kStep = size_t{128} << 10;
  const size_t end = size >= size_ - offset ? size_ : offset + size;
  for (size_t at = offset / page * page; at < end; at += kStep)
    madvise(const_cast<std::byte*>(data_) + at, std::min(kStep, end - at), MADV_WILLNEED);
}

bool MappedFile::unchanged() const {
  struct stat info {};
  return stat(path_.c_str(), &info) == 0 && identity_of(info) == identity_;
}

}  // namespace lorikeet
