#include "io/atomic_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "io/folder.h"

namespace lorikeet {
namespace {

[[noreturn]] void fail(const char* action, const std::string& path, int error_number) {
  throw Error(ErrorKind::resource,
              fmt::format("cannot {} the folder '{}': {}", action, path, errno_text(error_number)), path,
              error_number == ENOSPC ? "free disk space or choose another folder" : "");
}

}  // namespace

void AtomicFolder::expect_free(const std::string& target, IfExists if_exists) {
  std::error_code error;
  const auto status = std::filesystem::status(target, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
    throw Error(ErrorKind::usage, fmt::format("'{}' is a file, a folder is to be written", target), target,
                "choose another name");
  }
  if (if_exists == IfExists::refuse && std::filesystem::exists(status) &&
      !std::filesystem::is_empty(target, error)) {
    throw Error(ErrorKind::usage, fmt::format("the folder '{}' exists and is not empty", target), target,
                "choose another name or remove it");
  }
}

AtomicFolder::AtomicFolder(std::string target, IfExists if_exists)
    : target_(std::move(target)), if_exists_(if_exists) {
  while (target_.size() > 1 && target_.back() == '/') target_.pop_back();
  expect_free(target_, if_exists_);
  make_folders(parent_of(target_));
  temporary_ = temporary_name(target_);
  if (mkdir(temporary_.c_str(), 0777) != 0) {
    const int error_number = errno;
    temporary_.clear();
    fail("create", target_, error_number);
  }
}

AtomicFolder::~AtomicFolder() {
  if (!temporary_.empty()) remove_folder(temporary_);
}

void AtomicFolder::commit() {
  LORIKEET_CHECK(!temporary_.empty());
  sync_folder(temporary_);
  const std::string parent = parent_of(target_);
  if (rename(temporary_.c_str(), target_.c_str()) == 0) {  // absent or empty before
    temporary_.clear();
    return sync_folder(parent);
  }
  if (errno != ENOTEMPTY && errno != EEXIST) fail("write", target_, errno);
  if (if_exists_ == IfExists::refuse) {
    throw Error(ErrorKind::usage,
                fmt::format("the folder '{}' was filled by somebody else meanwhile", target_), target_,
                "choose another name");
  }
  // Swapping is one step: at every moment one complete folder has the name. Where the file system cannot
  // swap, the old one steps aside first.
  if (renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
    sync_folder(parent);
    remove_folder(temporary_);
  } else {
    const std::string old = temporary_name(target_);
    if (rename(target_.c_str(), old.c_str()) != 0) fail("replace", target_, errno);
    if (rename(temporary_.c_str(), target_.c_str()) != 0) {
      const int error_number = errno;
      if (rename(old.c_str(), target_.c_str()) != 0) fail("restore", target_, errno);
      fail("replace", target_, error_number);
    }
    sync_folder(parent);
    remove_folder(old);
  }
  temporary_.clear();
}

}  // namespace lorikeet
