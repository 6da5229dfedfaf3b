#include "io/pending_tensors.h"

#include "core/error.h"

namespace lorikeet {

void PendingTensors::declare(const std::string& name, uint64_t begin, uint64_t bytes) {
  LORIKEET_CHECK(ranges_.emplace(name, Range{begin, begin + bytes}).second);
}

void PendingTensors::place_behind(uint64_t header_bytes) {
  for (auto& [name, range] : ranges_) {
    range.next += header_bytes;
    range.end += header_bytes;
  }
}

void PendingTensors::write(AtomicFile& file, const std::string& name, std::span<const std::byte> bytes) {
  const auto at = ranges_.find(name);
  LORIKEET_CHECK(at != ranges_.end() && bytes.size() <= at->second.end - at->second.next);
  file.write_at(at->second.next, bytes);
  at->second.next += bytes.size();
}

void PendingTensors::commit(AtomicFile& file) const {
  for (const auto& [name, range] : ranges_) {
    if (range.next == range.end) continue;
    throw Error(ErrorKind::internal,
                fmt::format("{} bytes of the tensor '{}' were not written", range.end - range.next, name),
                file.path(), "this is a bug in lorikeet, please report it");
  }
  file.commit();
}

}  // namespace lorikeet
