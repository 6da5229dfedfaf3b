#include "core/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"

namespace lorikeet {

Buffer::Buffer(size_t bytes, const char* what, bool dry) : bytes_(bytes) {
  if (dry || bytes == 0) return;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    throw Error(ErrorKind::resource, fmt::format("cannot get {} bytes: {}", bytes, errno_text(errno)), what,
                "use a smaller model, qlora, or a machine with more memory");
  data_ = static_cast<std::byte*>(p);
}

Buffer Buffer::adopt(std::byte* mapped, size_t bytes) {
  Buffer b;
  b.data_ = mapped;
  b.bytes_ = bytes;
  return b;
}

void Buffer::release(size_t offset, size_t size) const {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (!data_ || size == 0) return;
  const size_t begin = offset / page * page;
  madvise(data_ + begin, offset + size - begin, MADV_DONTNEED);
}

Buffer::~Buffer() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace lorikeet
