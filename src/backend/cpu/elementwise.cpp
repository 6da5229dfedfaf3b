#include "backend/cpu/elementwise.h"

#include <cmath>
#include <cstring>

#include "backend/cpu/row_work.h"
#include "core/philox.h"

namespace lorikeet::cpu {

namespace {

constexpr const char* kOtherType = "computes in bf16 and f32 only";

}  // namespace

const char* RopeOp::reject(const RopeArgs& a) {
  if (!is_compute_type(a.x.dtype) || a.y.dtype != a.x.dtype) return kOtherType;
  return a.interleaved ? "rotates halves, not neighbours" : nullptr;
}
size_t RopeOp::workspace_bytes(const simd::Table&, const RopeArgs&, int) { return 0; }
void RopeOp::run(const simd::Table& t, const RopeArgs& a, const KernelContext& c) {
  const auto rope_head = typed(t, a.x.dtype).rope_head;
  const auto size = static_cast<int64_t>(size_of(a.x.dtype));
  const int64_t rest = a.head_dim - a.rotary_dim, heads = a.heads();
  for_each_row(c.threads, a.x.rows, heads * a.head_dim, [&](int64_t r, int) {
    const float* cos = a.rotary_dim ? a.cos.row<float>(a.positions[r]) : nullptr;
    const float* sin = a.rotary_dim ? a.sin.row<float>(a.positions[r]) : nullptr;
    for (int64_t h = 0; h < heads; ++h) {
      const char* x = row_of(a.x, r) + a.x_heads.at(h, a.head_dim) * size;
      char* y = row_of(a.y, r) + a.y_heads.at(h, a.head_dim) * size;
      rope_head(x, cos, sin, static_cast<float>(a.sign), a.rotary_dim / 2, y);
      if (rest && x != y)
        std::memcpy(y + a.rotary_dim * size, x + a.rotary_dim * size, static_cast<size_t>(rest * size));
    }
  });
}

const char* GatedActivationOp::reject(const GatedActivationArgs& a) {
  return is_compute_type(a.gate.dtype) && a.y.dtype == a.gate.dtype ? nullptr : kOtherType;
}
size_t GatedActivationOp::workspace_bytes(const simd::Table&, const GatedActivationArgs&, int) { return 0; }
void GatedActivationOp::run(const simd::Table& t, const GatedActivationArgs& a, const KernelContext& c) {
  const auto gate_row = typed(t, a.gate.dtype).gate_row[static_cast<int>(a.activation)];
  for_each_row(c.threads, a.y.rows, a.y.cols, [&](int64_t r, int) {
    gate_row(row_of(a.gate, r), a.up ? row_of(a.up, r) : nullptr, row_of(a.y, r), a.y.cols);
  });
}

const char* GatedActivationBwdOp::reject(const GatedActivationBwdArgs& a) {
  return is_compute_type(a.gate.dtype) && a.dy.dtype == a.gate.dtype ? nullptr : kOtherType;
}
size_t GatedActivationBwdOp::workspace_bytes(const simd::Table&, const GatedActivationBwdArgs&, int) {
  return 0;
}
void GatedActivationBwdOp::run(const simd::Table& t, const GatedActivationBwdArgs& a,
                               const KernelContext& c) {
  const auto gate_bwd_row = typed(t, a.gate.dtype).gate_bwd_row[static_cast<int>(a.activation)];
  for_each_row(c.threads, a.dy.rows, a.dy.cols, [&](int64_t r, int) {
    gate_bwd_row(row_of(a.dy, r), row_of(a.gate, r), a.up ? row_of(a.up, r) : nullptr, row_of(a.dgate, r),
                 a.up ? row_of(a.dup, r) : nullptr, a.dy.cols);
  });
}

const char* CrossEntropyOp::reject(const CrossEntropyArgs& a) {
  if (a.logits.dtype != DType::f32 || a.row_loss.dtype != DType::f64) return "takes f32 logits only";
  return !a.dlogits || is_compute_type(a.dlogits.dtype) ? nullptr : kOtherType;
}
size_t CrossEntropyOp::workspace_bytes(const simd::Table&, const CrossEntropyArgs& a, int) {
  return a.correct ? static_cast<size_t>(a.logits.rows) : 0;
}
void CrossEntropyOp::run(const simd::Table& t, const CrossEntropyArgs& a, const KernelContext& c) {
  const int64_t vocab = a.logits.cols;
  const auto scale = static_cast<float>(a.logit_scale), softcap = static_cast<float>(a.softcap);
  auto* hit = static_cast<uint8_t*>(c.workspace);
  const auto capped = [&](float z) {
    const double s = a.logit_scale * static_cast<double>(z);
    return a.softcap > 0 ? a.softcap * std::tanh(s / a.softcap) : s;
  };
  for_each_row(c.threads, a.logits.rows, vocab, [&](int64_t r, int) {
    const float* z = a.logits.row<float>(r);
    const int32_t target = a.target[r];
    const float raw_top = t.vector.row_maximum(z, vocab), raw_target = z[target];
    if (a.correct) hit[r] = raw_target == raw_top && std::find(z, z + target, raw_top) == z + target;
    const auto top = static_cast<float>(capped(raw_top));
    const double sum = static_cast<double>(t.vector.exp_sum(z, vocab, top, scale, softcap));
    const double lse = static_cast<double>(top) + std::log(sum), target_logit = capped(raw_target);
    *a.row_loss.row<double>(r) = lse - target_logit;
    if (!a.dlogits) return;
    typed(t, a.dlogits.dtype)
        .softmax_gradient(z, vocab, static_cast<float>(lse), scale, softcap, static_cast<float>(a.grad_scale),
                          row_of(a.dlogits, r));
    // The target's own entry is p - 1, not p: rounded once from f64.
    const double ratio = a.softcap > 0 ? target_logit / a.softcap : 0;
    const double g = a.grad_scale * a.logit_scale * (1 - ratio * ratio) * std::expm1(target_logit - lse);
    if (a.dlogits.dtype == DType::bf16)
      a.dlogits.row<Bf16>(r)[target] = to_bf16(static_cast<float>(g));
    else
      a.dlogits.row<float>(r)[target] = static_cast<float>(g);
  });
  double total = *a.loss_sum.row<double>(0);
  for (int64_t r = 0; r < a.logits.rows; ++r) {
    total += *a.row_loss.row<double>(r);
    if (a.correct) *a.correct += hit[r];
  }
  *a.loss_sum.row<double>(0) = total;
}

const char* AddOp::reject(const AddArgs& a) {
  return is_compute_type(a.y.dtype) && a.a.dtype == a.y.dtype && a.b.dtype == a.y.dtype ? nullptr
                                                                                        : kOtherType;
}
size_t AddOp::workspace_bytes(const simd::Table&, const AddArgs&, int) { return 0; }
void AddOp::run(const simd::Table& t, const AddArgs& a, const KernelContext& c) {
  const simd::Element type = element_of(a.y.dtype);
  const auto bytes = static_cast<size_t>(a.y.cols) * size_of(a.y.dtype);
  for_each_row(c.threads, a.y.rows, a.y.cols, [&](int64_t r, int) {
    if (a.y.data != a.a.data) std::memcpy(row_of(a.y, r), row_of(a.a, r), bytes);
    t.vector.scale_row(type, row_of(a.b, r), static_cast<float>(a.scale), true, type, row_of(a.y, r),
                       a.y.cols);
  });
}

const char* LogitCapOp::reject(const LogitCapArgs& a) {
  return a.x.dtype == DType::f32 && a.y.dtype == DType::f32 ? nullptr : "takes f32 logits only";
}
size_t LogitCapOp::workspace_bytes(const simd::Table&, const LogitCapArgs&, int) { return 0; }
void LogitCapOp::run(const simd::Table& t, const LogitCapArgs& a, const KernelContext& c) {
  for_each_row(c.threads, a.y.rows, a.y.cols, [&](int64_t r, int) {
    t.vector.cap_row(a.x.row<float>(r), a.y.cols, static_cast<float>(a.scale), static_cast<float>(a.softcap),
                     a.y.row<float>(r));
  });
}

const char* EmbeddingOp::reject(const EmbeddingArgs& a) {
  return is_compute_type(a.y.dtype) && a.table->dtype != DType::f64 && a.table->dtype != DType::c128
             ? nullptr
             : kOtherType;
}
size_t EmbeddingOp::workspace_bytes(const simd::Table&, const EmbeddingArgs& a, int threads) {
  return static_cast<size_t>(threads) * static_cast<size_t>(a.y.cols) * sizeof(float);
}
void EmbeddingOp::run(const simd::Table& t, const EmbeddingArgs& a, const KernelContext& c) {
  const RightSide table(*a.table, RightSide::Axis::columns, *t.f32);
  const int64_t cols = a.y.cols;
  for_each_row(c.threads, a.y.rows, cols, [&](int64_t r, int thread) {
    char* scratch = static_cast<char*>(c.workspace) + thread * cols * 4;
    const char* row = table.decoded_row(a.tokens[r], scratch);
    t.vector.scale_row(simd::Element::f32, row, static_cast<float>(a.scale), a.accumulate,
                       element_of(a.y.dtype), row_of(a.y, r), cols);
  });
}

const char* EmbeddingBwdOp::reject(const EmbeddingBwdArgs& a) {
  return is_compute_type(a.dy.dtype) && a.dtable.dtype == DType::f32 ? nullptr : kOtherType;
}
size_t EmbeddingBwdOp::workspace_bytes(const simd::Table&, const EmbeddingBwdArgs&, int) { return 0; }
void EmbeddingBwdOp::run(const simd::Table& t, const EmbeddingBwdArgs& a, const KernelContext& c) {
  constexpr int64_t kColumns = 64;  // one owner per column block keeps the token order for every element
  const int64_t cols = a.dy.cols;
  c.threads.for_each((cols + kColumns - 1) / kColumns, [&](int64_t item, int) {
    const int64_t k = item * kColumns, n = std::min(kColumns, cols - k);
    for (int64_t r = 0; r < a.dy.rows; ++r)
      t.vector.scale_row(
          element_of(a.dy.dtype), row_of(a.dy, r) + k * static_cast<int64_t>(size_of(a.dy.dtype)),
          static_cast<float>(a.scale), true, simd::Element::f32, row_of(a.dtable, a.tokens[r]) + 4 * k, n);
  });
}

const char* CastOp::reject(const CastArgs& a) {
  const auto small = [](DType d) { return d == DType::f32 || d == DType::bf16 || d == DType::f16; };
  return small(a.x.dtype) && small(a.y.dtype) ? nullptr : "casts the 16- and 32-bit types only";
}
size_t CastOp::workspace_bytes(const simd::Table&, const CastArgs&, int) { return 0; }
void CastOp::run(const simd::Table& t, const CastArgs& a, const KernelContext& c) {
  for_each_row(c.threads, a.y.rows, a.y.cols, [&](int64_t r, int) {
    t.vector.scale_row(element_of(a.x.dtype), row_of(a.x, r), static_cast<float>(a.scale), false,
                       element_of(a.y.dtype), row_of(a.y, r), a.y.cols);
  });
}

}  // namespace lorikeet::cpu
