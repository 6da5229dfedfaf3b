#pragma once
// For .cpp files of this folder that compile a kernel once per instruction set.
#include "quant/bnb4_encode.h"

// What runs for every element is inlined into one function per instruction set.
#define LORIKEET_INLINE [[gnu::always_inline]] inline

// kernel(args) compiled for vectors of each width, and kernel_at(vector_bytes, args), which calls one of
// them: vector_bytes is at most widest_encoder().
#if defined(__x86_64__)
#define LORIKEET_WIDTHS(kernel, Args)                                                                  \
  void kernel##_16(const Args& a) { kernel(a); }                                                       \
  [[gnu::target("avx2")]] void kernel##_32(const Args& a) { kernel(a); }                               \
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] void kernel##_64(const Args& a) { kernel(a); } \
  void kernel##_at(int vector_bytes, const Args& a) {                                                  \
    vector_bytes == 64 ? kernel##_64(a) : vector_bytes == 32 ? kernel##_32(a) : kernel##_16(a);        \
  }
#else
#define LORIKEET_WIDTHS(kernel, Args) \
  void kernel##_at(int, const Args& a) { kernel(a); }
#endif
