#pragma once
// Makes the rows of kernel lists from functions that take a table of SIMD functions.
#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/simd/table.h"

namespace lorikeet::cpu {

/// Functions of an instruction set; never called for Isa::portable.
inline const simd::Table& table_of(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return simd::avx2_table();
    case Isa::avx512:
      return simd::avx512_table();
    default:
      return simd::avx512bf16_table();
  }
}

template <Isa isa>
constexpr const char* kIsaRowName = nullptr;
template <>
inline constexpr const char* kIsaRowName<Isa::avx2> = "avx2";
template <>
inline constexpr const char* kIsaRowName<Isa::avx512> = "avx512";
template <>
inline constexpr const char* kIsaRowName<Isa::avx512bf16> = "avx512bf16";

/// Op is a struct of static functions for one kind of arguments:
///   const char* reject(const Args&)
///   size_t workspace_bytes(const simd::Table&, const Args&, int threads)
///   void run(const simd::Table&, const Args&, const KernelContext&)
template <class Op, class Args, Isa isa>
constexpr Kernel<Args> simd_row() {
  Kernel<Args> k{};
  k.name = kIsaRowName<isa>;
  k.reject = [](const Args& a) -> const char* {
    if (cpu_isa() != isa) return "for another instruction set";
    return Op::reject(a);
  };
  k.workspace_bytes = [](const Args& a, int threads) {
    return Op::workspace_bytes(table_of(isa), a, threads);
  };
  k.run = [](const Args& a, const KernelContext& c) { Op::run(table_of(isa), a, c); };
  return k;
}

/// bf16 or f32, the compute types of the SIMD kernels.
constexpr bool is_compute_type(DType d) { return d == DType::bf16 || d == DType::f32; }

}  // namespace lorikeet::cpu
