#pragma once
#include "backend/args.h"
#include "backend/cpu/rows.h"

namespace lorikeet::cpu {

struct LinearOp {
  static const char* reject(const LinearArgs& a);
  static size_t workspace_bytes(const simd::Table& t, const LinearArgs& a, int threads);
  static void run(const simd::Table& t, const LinearArgs& a, const KernelContext& c);
};

struct LinearDxOp {
  static const char* reject(const LinearDxArgs& a);
  static size_t workspace_bytes(const simd::Table& t, const LinearDxArgs& a, int threads);
  static void run(const simd::Table& t, const LinearDxArgs& a, const KernelContext& c);
};

struct TokenSumOp {
  static const char* reject(const TokenSumArgs& a);
  static size_t workspace_bytes(const simd::Table& t, const TokenSumArgs& a, int threads);
  static void run(const simd::Table& t, const TokenSumArgs& a, const KernelContext& c);
};

}  // namespace lorikeet::cpu
