#include "core/system_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace lorikeet {

namespace {

constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();

/// A file with one number, or "max".
uint64_t read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t n = 0;
  return file >> n ? n : kUnknown;
}

/// Value in bytes of a "Name:   123 kB" line.
uint64_t read_kib_field(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.rfind(name + ":", 0) == 0) return std::stoull(line.substr(name.size() + 1)) * 1024;
  return kUnknown;
}

uint64_t room(uint64_t limit, uint64_t used) {
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  return limit > used ? limit - used : 0;
}

/// What is left under the limits of this process's cgroup (version 2) and all above it.
uint64_t cgroup_room() {
  uint64_t least = kUnknown;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    std::string path = line.substr(3);
    for (;;) {
      const std::string folder = "/sys/fs/cgroup" + (path == "/" ? std::string() : path);
      least =
          std::min(least, room(read_number(folder + "/memory.max"), read_number(folder + "/memory.current")));
      if (path.empty() || path == "/") break;
      path = path.substr(0, path.find_last_of('/'));
    }
  }
  const std::string v1 = "/sys/fs/cgroup/memory/memory.";
  return std::min(least, room(read_number(v1 + "limit_in_bytes"), read_number(v1 + "usage_in_bytes")));
}

}  // namespace

uint64_t available_memory() {
  const uint64_t least = std::min(read_kib_field("/proc/meminfo", "MemAvailable"), cgroup_room());
  return least == kUnknown ? 0 : least;
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace lorikeet
