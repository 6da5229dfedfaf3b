#pragma once
#include <cstdint>

namespace lorikeet {

/// Bytes that this process may still use without swapping or being killed: what the kernel calls available,
/// bounded by what is left of every cgroup limit above the process. 0 if the system does not tell.
uint64_t available_memory();

/// Largest resident size of this process so far, and the current one, in bytes.
uint64_t peak_resident_bytes();
uint64_t resident_bytes();

}  // namespace lorikeet
