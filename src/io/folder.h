#pragma once
// Names and durability of files and folders: what the atomic writers share.
#include <string>

namespace lorikeet {

/// A write beyond RLIMIT_FSIZE must come back as EFBIG; the signal's default would end the process.
void ignore_file_size_signal();

/// What to do about a write that failed with this errno; empty where nothing is known.
const char* disk_error_fix(int error_number);

/// The folder part of `path`: "." for a bare name, "/" for the root.
std::string parent_of(const std::string& path);

/// A hidden name beside `path` that no other writer of this or another process uses.
std::string temporary_name(const std::string& path);

/// Makes renames inside `folder` durable. File systems that cannot are left alone.
void sync_folder(const std::string& folder) noexcept;

/// Creates `path` and its parents. Throws Error(resource), or Error(usage) if a file is in the way.
void make_folders(const std::string& path);

/// Deletes a folder with its content, following no link; nothing is thrown.
void remove_folder(const std::string& path) noexcept;

}  // namespace lorikeet
