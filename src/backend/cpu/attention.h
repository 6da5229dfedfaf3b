#pragma once
#include "backend/args.h"
#include "backend/cpu/rows.h"

namespace lorikeet::cpu {

struct AttentionOp {
  static const char* reject(const AttentionArgs& a);
  static size_t workspace_bytes(const simd::Table& t, const AttentionArgs& a, int threads);
  static void run(const simd::Table& t, const AttentionArgs& a, const KernelContext& c);
};

struct AttentionBwdOp {
  static const char* reject(const AttentionBwdArgs& a);
  static size_t workspace_bytes(const simd::Table& t, const AttentionBwdArgs& a, int threads);
  static void run(const simd::Table& t, const AttentionBwdArgs& a, const KernelContext& c);
};

}  // namespace lorikeet::cpu
