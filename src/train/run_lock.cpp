#include "train/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"
#include "io/folder.h"

namespace lorikeet {

RunLock::RunLock(const std::string& folder) : path_(folder + "/" + kFileName) {
  make_folders(folder);
  while (true) {
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0)
      throw Error(ErrorKind::resource, fmt::format("cannot write into '{}': {}", folder, errno_text(errno)),
                  path_, "choose another output folder");
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      close(fd_);
      if (reason == EWOULDBLOCK)
        throw Error(ErrorKind::resource, fmt::format("another run is writing to '{}'", folder), path_,
                    "wait for it, or choose another output folder");
      throw Error(ErrorKind::resource, fmt::format("cannot lock '{}': {}", path_, errno_text(reason)), path_);
    }
    // The holder removes the file as it leaves; a lock on a removed file would keep nobody out.
    struct stat mine {
    }, there{};
    if (fstat(fd_, &mine) == 0 && stat(path_.c_str(), &there) == 0 && mine.st_ino == there.st_ino) return;
    close(fd_);
  }
}

RunLock::~RunLock() {
  unlink(path_.c_str());
  close(fd_);
}

}  // namespace lorikeet
