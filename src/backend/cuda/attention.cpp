// Attention by cuDNN. Rows of any length go into one launch, except where the backward keeps numbers of pairs
// of tokens: then as many rows or heads as their memory allows.
#include "backend/cuda/attention.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "backend/cuda/attention_run.h"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

using Operands = AttentionOperands;
using Pass = AttentionShape::Pass;

/// Some of the rows and heads of an attention, with places counted from the first of those rows.
struct Part {
  Part(const Operands& x, size_t first_row, size_t row_count, int32_t first_head, int32_t head_count)
      : operands(x),
        rows(x.rows.begin() + static_cast<int64_t>(first_row),
             x.rows.begin() + static_cast<int64_t>(first_row + row_count)) {
    int32_t q0 = INT32_MAX, k0 = INT32_MAX, q1 = 0, k1 = 0;
    for (const RowSpan& r : rows) {
      q0 = std::min(q0, r.q_begin);
      k0 = std::min(k0, r.k_begin);
      q1 = std::max(q1, r.q_begin + r.q_count);
      k1 = std::max(k1, r.k_begin + r.k_count);
    }
    for (RowSpan& r : rows) r = {r.q_begin - q0, r.q_count, r.k_begin - k0, r.k_count};
    const auto group = static_cast<int32_t>(x.group());
    const auto cut = [&](TensorView& v, int32_t begin, int32_t end, int32_t head, int32_t heads,
                         int32_t size) {
      if (v) v = v.row_range(begin, end - begin).columns(head * size, heads * size);
    };
    for (TensorView* v : {&operands.q, &operands.o, &operands.dout, &operands.dq})
      cut(*v, q0, q1, first_head * group, head_count * group, x.heads.dim);
    for (TensorView* v : {&operands.lse, &operands.delta})
      cut(*v, q0, q1, first_head * group, head_count * group, 1);
    for (TensorView* v : {&operands.k, &operands.v, &operands.dk, &operands.dv})
      cut(*v, k0, k1, first_head, head_count, x.heads.dim);
    operands.heads = {head_count * group, head_count, x.heads.dim};
    operands.rows = rows;
  }
  Part(const Part&) = delete;

  Operands operands;
  std::vector<RowSpan> rows;
};

/// Memory for the numbers of pairs of tokens of one launch. Four rows of 2048 tokens with 32 heads of 128 run
/// at 249, 294 and 329 TF/s with 256, 512 and 1024 MiB on an H100, and at 340 without such numbers.
constexpr int64_t kPairBytes = int64_t{512} << 20;

int64_t pair_bytes(const Operands& x, std::span<const RowSpan> rows, int32_t kv_heads) {
  Operands some = x;
  some.rows = rows;
  const AttentionShape s = shape_of(some);
  return s.rows * kv_heads * x.group() * s.most_queries * s.most_keys * int64_t{sizeof(Bf16)};
}

/// Calls f with the operands of each launch: all at once, unless numbers of pairs are kept. Then as many rows
/// as fit, or as many heads of a single row.
template <class F>
void for_each_part(const Operands& x, const F& f) {
  if (x.rows.empty()) return;
  if (x.pass != Pass::ordered_backward) return f(x);
  const int32_t all = x.heads.kv;
  for (size_t row = 0; row < x.rows.size();) {
    size_t count = 1;
    while (row + count < x.rows.size() && pair_bytes(x, x.rows.subspan(row, count + 1), all) <= kPairBytes)
      ++count;
    int32_t heads = all;
    while (heads > 1 && (all % heads != 0 || pair_bytes(x, x.rows.subspan(row, count), heads) > kPairBytes))
      --heads;
    for (int32_t h = 0; h < all; h += heads) f(Part(x, row, count, h, heads).operands);
    row += count;
  }
}

size_t workspace_of(const Operands& x) {
  size_t most = 0;
  for_each_part(x, [&](const Operands& part) { most = std::max(most, attention_workspace(part)); });
  return most;
}

void run(const Operands& x, void* workspace, cudaStream_t queue) {
  for_each_part(x, [&](const Operands& part) { run_attention(part, workspace, queue); });
}

bool is_bf16(std::initializer_list<TensorView> views) {
  return std::all_of(views.begin(), views.end(), [](const TensorView& v) { return v.dtype == DType::bf16; });
}
/// The engines load 16 bytes at a time.
bool has_wide_rows(std::initializer_list<TensorView> views) {
  return std::all_of(views.begin(), views.end(), [](const TensorView& v) { return v.stride % 8 == 0; });
}

template <class Args>
const char* reject_common(const Args& a) {
  if (a.softcap > 0) return "attention with a soft cap is not supported";
  if (a.heads.dim % 16 != 0 || a.heads.dim > 256) return "head_dim must be a multiple of 16 up to 256";
  if (a.lse && a.lse.dtype != DType::f32) return "statistics must be f32";
  return nullptr;
}

const char* reject(const AttentionArgs& a) {
  if (const char* why = reject_common(a)) return why;
  if (!is_bf16({a.o, a.q, a.k, a.v})) return "computes in bf16 only";
  return has_wide_rows({a.o, a.q, a.k, a.v}) ? nullptr : "rows must begin on 16 bytes";
}

}  // namespace

const char* reject_attention_bwd(const AttentionBwdArgs& a) {
  if (const char* why = reject_common(a)) return why;
  const auto all = {a.dq, a.dk, a.dv, a.dout, a.o, a.q, a.k, a.v};
  if (!is_bf16(all)) return "computes in bf16 only";
  if (a.delta.dtype != DType::f32 || a.delta.stride != a.lse.stride) return "delta must lie like lse";
  return has_wide_rows(all) ? nullptr : "rows must begin on 16 bytes";
}
size_t attention_bwd_workspace(const AttentionBwdArgs& a, DqSum sum) {
  return workspace_of(Operands(a, sum == DqSum::ordered));
}
void attention_bwd(const AttentionBwdArgs& a, DqSum sum, void* workspace, cudaStream_t queue) {
  run(Operands(a, sum == DqSum::ordered), workspace, queue);
}

// KernelContext carries no stream: the default one.
template <>
std::span<const Kernel<AttentionArgs>> op_kernels() {
  static constexpr Kernel<AttentionArgs> list[] = {
      {"cuda cuDNN", reject, [](const AttentionArgs& a, int) { return workspace_of(Operands(a)); },
       [](const AttentionArgs& a, const KernelContext& c) { run(Operands(a), c.workspace, nullptr); }}};
  return list;
}

template <>
std::span<const Kernel<AttentionBwdArgs>> op_kernels() {
  static constexpr Kernel<AttentionBwdArgs> list[] = {
      {"cuda cuDNN", reject_attention_bwd,
       [](const AttentionBwdArgs& a, int) { return attention_bwd_workspace(a, DqSum::ordered); },
       [](const AttentionBwdArgs& a, const KernelContext& c) {
         attention_bwd(a, DqSum::ordered, c.workspace, nullptr);
       }}};
  return list;
}

}  // namespace lorikeet::cuda
