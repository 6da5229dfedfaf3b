#pragma once
// For .cpp files of this folder that compile a kernel once per instruction set.

// What runs for every element is inlined into one function per instruction set.
#define LORIKEET_INLINE [[gnu::always_inline]] inline

// `kernel` under the name of each instruction set, and NAME_widest, which calls the one that the machine has.
#if defined(__x86_64__)
#define LORIKEET_WIDEST(kernel, Args)                                                                   \
  void kernel##_16(const Args& a) { kernel(a); }                                                        \
  [[gnu::target("avx2,fma")]] void kernel##_32(const Args& a) { kernel(a); }                            \
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] void kernel##_64(const Args& a) { kernel(a); }  \
  void kernel##_widest(const Args& a) {                                                                 \
    widest_encoder() == 64 ? kernel##_64(a) : widest_encoder() == 32 ? kernel##_32(a) : kernel##_16(a); \
  }
#else
#define LORIKEET_WIDEST(kernel, Args) \
  void kernel##_widest(const Args& a) { kernel(a); }
#endif
