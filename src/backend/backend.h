#pragma once
// Dispatch: each backend keeps, per op, an ordered list of kernels, fastest first, the portable one last. The
// first that does not reject the arguments runs. Choice depends on the arguments (and the instruction set,
// fixed at start) only, so a recomputation runs the same kernel and gets the same bits.
#include <span>
#include <string>

#include "core/arena.h"
#include "core/thread_pool.h"

namespace lorikeet {

enum class Device : uint8_t { cpu, reference, stub };

/// Where and with what an op runs. On a dry arena nothing runs: only workspace is counted.
struct Stream {
  Device device = Device::cpu;
  ThreadPool* threads = nullptr;
  Arena* arena = nullptr;  ///< gives kernels their workspace; may be null for ops that need none
  bool lone = false;       ///< one stream of generated tokens, see LinearArgs::lone
  bool dry() const { return arena && arena->is_dry(); }
};

/// What a kernel may use while it runs.
struct KernelContext {
  ThreadPool& threads;
  void* workspace;  ///< 64-byte aligned, workspace_bytes(args, threads.size()) long, uninitialised
};

template <class Args>
struct Kernel {
  const char* name;
  /// Null function or null result: this kernel can run these arguments; else the reason why not. Must look at
  /// shapes, types and the instruction set only, never at data, and must not allocate.
  const char* (*reject)(const Args&);
  size_t (*workspace_bytes)(const Args&, int threads);  ///< null: none
  void (*run)(const Args&, const KernelContext&);
};

/// The kernel list of an op; one explicit specialization per op in each backend's kernels.cpp.
template <class Args>
std::span<const Kernel<Args>> cpu_kernels();
template <class Args>
std::span<const Kernel<Args>> reference_kernels();
template <class Args>
std::span<const Kernel<Args>> stub_kernels();

template <class Args>
std::span<const Kernel<Args>> kernels_of(Device device) {
  switch (device) {
    case Device::cpu:
      return cpu_kernels<Args>();
    case Device::reference:
      return reference_kernels<Args>();
    case Device::stub:
      break;
  }
  return stub_kernels<Args>();
}

/// First kernel that takes `args`. Throws Error(unsupported) with every kernel's reason if none does.
template <class Args>
const Kernel<Args>& select_kernel(Device device, const Args& args) {
  const auto list = kernels_of<Args>(device);
  for (const Kernel<Args>& k : list)
    if (!k.reject || !k.reject(args)) return k;
  std::string why;  // built only on the way out: a refused kernel must not allocate inside a step
  for (const Kernel<Args>& k : list) why += fmt::format(" {}: {};", k.name, k.reject(args));
  throw Error(ErrorKind::unsupported, fmt::format("no kernel accepts {}:{}", Args::op_name, why));
}

template <class Args>
void dispatch(const Stream& stream, const Args& args) {
  const Kernel<Args>& k = select_kernel(stream.device, args);
  const size_t bytes = k.workspace_bytes ? k.workspace_bytes(args, stream.threads->size()) : 0;
  if (bytes == 0) {
    if (!stream.dry()) k.run(args, {*stream.threads, nullptr});
    return;
  }
  LORIKEET_CHECK(stream.arena);
  const size_t top = stream.arena->top_mark();
  void* workspace = stream.arena->top_bytes(bytes, Args::op_name);
  if (!stream.dry()) k.run(args, {*stream.threads, workspace});
  stream.arena->rewind_top(top);
}

}  // namespace lorikeet
