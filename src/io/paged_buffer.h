#pragma once
#include <string>

#include "core/buffer.h"

namespace lorikeet {

/// Zeroed memory that the system may write to disk and take away when memory runs short: a shared mapping of
/// a file in `folder` that has no name, so that nothing of it outlives the process, however it ends. All of
/// the file is on disk from the start: a full disk is an error here and never a signal later.
///
/// Throws Error(resource), naming `what` and the folder, if the file cannot be made, does not fit on the disk
/// or cannot be mapped.
Buffer paged_buffer(size_t bytes, const char* what, const std::string& folder);

}  // namespace lorikeet
