// The optimizers' updates. One frame hands out blocks of parameters, converts those that are held in bf16 and
// rounds them back; the arithmetic of an instruction set, or its plain counterpart, fills it.
#include <cmath>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/row_work.h"
#include "core/philox.h"
#include "quant/dynamic8.h"

namespace lorikeet::cpu {

namespace {

static_assert(kUpdateBlock == kDynamicBlock);

constexpr int64_t kStretch = int64_t{16} << 10;  // elements summed or updated as one item

int64_t stretches(int64_t n) { return (n + kStretch - 1) / kStretch; }

/// f(first, n, item) over the rows of contiguous or strided matrices: each row in stretches.
template <class F>
void for_each_stretch(ThreadPool& threads, const TensorView& v, const F& f) {
  const TensorView flat = v.contiguous() && v.count() > 0 ? v.reshaped(v.count()) : v;
  const int64_t per_row = stretches(flat.cols);
  threads.for_each(flat.rows * per_row, [&](int64_t item, int) {
    const int64_t row = item / per_row, first = item % per_row * kStretch;
    f(row * v.stride + first, std::min(kStretch, flat.cols - first), item);
  });
}

// ---- Plain arithmetic, equal to simd/elementwise.h bit for bit. -----------------------------------------

template <bool kInterpolate>
void plain_adamw(const simd::AdamW& o, float* p, const float* g, float* m, float* v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float grad = g[i] * o.grad_scale;
    if constexpr (kInterpolate)
      m[i] += o.one_minus_beta1 * (grad - m[i]);
    else
      m[i] = m[i] * o.beta1 + o.one_minus_beta1 * grad;
    v[i] = v[i] * o.beta2 + o.one_minus_beta2 * grad * grad;
    p[i] = p[i] * o.decay - o.step_size * (m[i] / (std::sqrt(v[i]) / o.root + o.eps));
  }
}
void plain_sgd(const simd::Sgd& o, float* p, const float* g, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] -= o.lr * (g[i] * o.grad_scale + o.weight_decay * p[i]);
}
void plain_uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t counters, float* out) {
  const Philox random(seed, stream);
  for (int64_t i = 0; i < counters * 4; ++i) out[i] = random.uniform(first * 4 + static_cast<uint64_t>(i));
}

/// What an instruction set has to offer here.
struct Arithmetic {
  simd::UpdateOps update;
  decltype(simd::VectorOps::uniform) uniform;
};
Arithmetic plain() { return {{plain_adamw<true>, plain_adamw<false>, plain_sgd}, plain_uniform}; }
Arithmetic of(const simd::Table& t) { return {t.vector.update, t.vector.uniform}; }

// ---- The frame. -----------------------------------------------------------------------------------------

/// f(offset, at, n) for the pieces of rows that hold the elements [first, first + n) of v, counted row by
/// row.
template <class F>
void for_each_piece(const TensorView& v, int64_t first, int64_t n, const F& f) {
  for (int64_t done = 0; done < n;) {
    const int64_t row = (first + done) / v.cols, col = (first + done) % v.cols;
    const int64_t length = std::min(n - done, v.cols - col);
    f(row * v.stride + col, done, length);
    done += length;
  }
}
void gather(const TensorView& v, int64_t first, int64_t n, float* out) {
  for_each_piece(v, first, n, [&](int64_t offset, int64_t at, int64_t length) {
    if (v.dtype == DType::f32)
      std::copy_n(v.as<float>() + offset, length, out + at);
    else
      for (int64_t i = 0; i < length; ++i) out[at + i] = to_float(v.as<Bf16>()[offset + i]);
  });
}
/// Up by a uniform share of the distance to the next bf16 number, then down: `draw` in [0, 1).
Bf16 round_randomly(float x, float draw) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return to_bf16(x);  // an infinity must not become a NaN
  return {static_cast<uint16_t>((bits + static_cast<uint32_t>(draw * 65536.0F)) >> 16)};
}
void scatter(const TensorView& v, int64_t first, int64_t n, const float* in, const float* draws) {
  for_each_piece(v, first, n, [&](int64_t offset, int64_t at, int64_t length) {
    if (v.dtype == DType::f32)
      std::copy_n(in + at, length, v.as<float>() + offset);
    else
      for (int64_t i = 0; i < length; ++i)
        v.as<Bf16>()[offset + i] = round_randomly(in[at + i], draws[at + i]);
  });
}

/// update(first, n, p, g) over all elements of the blocks, p and g consecutive: in place where they lie so,
/// else one block at a time through copies. `blockwise`: n is never more than a block.
template <class Args, class F>
void for_each_update(const Args& a, bool blockwise, const Arithmetic& math, const KernelContext& c,
                     const F& update) {
  const bool in_place = a.p.dtype == DType::f32 && a.p.contiguous() && a.g.contiguous();
  const int64_t chunk = in_place && !blockwise ? kStretch : kUpdateBlock;
  const int64_t begin = a.blocks.first * kUpdateBlock;
  const int64_t end = std::min(a.blocks.last * kUpdateBlock, a.p.count());
  c.threads.for_each(stretches(end - begin), [&](int64_t item, int) {
    const int64_t item_end = std::min(end, begin + (item + 1) * kStretch);
    float p[kUpdateBlock], g[kUpdateBlock], draws[kUpdateBlock];
    for (int64_t first = begin + item * kStretch; first < item_end; first += chunk) {
      const int64_t n = std::min(chunk, item_end - first);
      if (in_place) {
        update(first, n, a.p.template as<float>() + first, a.g.template as<float>() + first);
        continue;
      }
      gather(a.p, first, n, p);
      gather(a.g, first, n, g);
      update(first, n, p, g);
      if (a.p.dtype == DType::bf16)
        math.uniform(a.rounding.seed, a.rounding.stream, static_cast<uint64_t>(first / 4), kUpdateBlock / 4,
                     draws);
      scatter(a.p, first, n, p, draws);
    }
  });
}

const char* reject_parameter(const TensorView& p, const TensorView& g) {
  if (p.dtype != DType::f32 && p.dtype != DType::bf16) return "updates f32 or bf16 only";
  return g.dtype == DType::f32 ? nullptr : "takes f32 gradients only";
}

simd::AdamW constants(const AdamWSettings& s) {
  const double step = static_cast<double>(s.t);
  simd::AdamW o{};
  o.step_size = static_cast<float>(s.lr / (1 - std::pow(s.beta1, step)));
  o.root = static_cast<float>(std::sqrt(1 - std::pow(s.beta2, step)));
  o.decay = static_cast<float>(1 - s.lr * s.weight_decay);
  o.eps = static_cast<float>(s.eps);
  o.beta1 = static_cast<float>(s.beta1);
  o.beta2 = static_cast<float>(s.beta2);
  o.one_minus_beta1 = static_cast<float>(1 - s.beta1);
  o.one_minus_beta2 = static_cast<float>(1 - s.beta2);
  o.grad_scale = static_cast<float>(s.grad_scale);
  return o;
}

void run(const Arithmetic& math, const AdamWArgs& a, const KernelContext& c) {
  const simd::AdamW o = constants(a.settings);
  float* m = a.m.as<float>();
  float* v = a.v.as<float>();
  for_each_update(a, false, math, c, [&](int64_t first, int64_t n, float* p, const float* g) {
    math.update.adamw(o, p, g, m + first, v + first, n);
  });
}

void run(const Arithmetic& math, const AdamW8bitArgs& a, const KernelContext& c) {
  const simd::AdamW o = constants(a.settings);
  for_each_update(a, true, math, c, [&](int64_t first, int64_t n, float* p, const float* g) {
    float m[kUpdateBlock], v[kUpdateBlock];
    const int64_t block = first / kUpdateBlock;
    decode_dynamic_block(DynamicMap::with_negatives, a.m.codes + first, n, a.m.absmax[block], m);
    decode_dynamic_block(DynamicMap::positive, a.v.codes + first, n, a.v.absmax[block], v);
    math.update.adamw_8bit(o, p, g, m, v, n);
    encode_dynamic_block(DynamicMap::with_negatives, m, n, a.m.codes + first, a.m.absmax + block);
    encode_dynamic_block(DynamicMap::positive, v, n, a.v.codes + first, a.v.absmax + block);
  });
}

void run(const Arithmetic& math, const SgdArgs& a, const KernelContext& c) {
  const simd::Sgd o{static_cast<float>(a.lr), static_cast<float>(a.weight_decay),
                    static_cast<float>(a.grad_scale)};
  for_each_update(a, false, math, c,
                  [&](int64_t, int64_t n, float* p, const float* g) { math.update.sgd(o, p, g, n); });
}

const char* reject_update(const AdamWArgs& a) {
  const bool state =
      a.m.dtype == DType::f32 && a.v.dtype == DType::f32 && a.m.contiguous() && a.v.contiguous();
  return state ? reject_parameter(a.p, a.g) : "keeps contiguous f32 moments";
}
const char* reject_update(const AdamW8bitArgs& a) { return reject_parameter(a.p, a.g); }
const char* reject_update(const SgdArgs& a) { return reject_parameter(a.p, a.g); }

template <class Args>
Kernel<Args> portable_update() {
  return {"portable", reject_update, nullptr,
          [](const Args& a, const KernelContext& c) { run(plain(), a, c); }};
}

}  // namespace

const char* SquareSumOp::reject(const SquareSumArgs& a) {
  return a.g.dtype == DType::f32 && a.sum.dtype == DType::f64 ? nullptr : "sums f32 into f64 only";
}
size_t SquareSumOp::workspace_bytes(const simd::Table&, const SquareSumArgs& a, int) {
  return static_cast<size_t>(a.g.contiguous() ? stretches(a.g.count()) : a.g.rows * stretches(a.g.cols)) *
         sizeof(double);
}
void SquareSumOp::run(const simd::Table& t, const SquareSumArgs& a, const KernelContext& c) {
  auto* part = static_cast<double*>(c.workspace);
  const float* g = a.g.as<float>();
  for_each_stretch(c.threads, a.g,
                   [&](int64_t at, int64_t n, int64_t item) { part[item] = t.vector.square_sum(g + at, n); });
  const int64_t parts = static_cast<int64_t>(workspace_bytes(t, a, 1) / sizeof(double));
  double total = *a.sum.as<double>();
  for (int64_t i = 0; i < parts; ++i) total += part[i];
  *a.sum.as<double>() = total;
}

const char* AdamWOp::reject(const AdamWArgs& a) { return reject_update(a); }
size_t AdamWOp::workspace_bytes(const simd::Table&, const AdamWArgs&, int) { return 0; }
void AdamWOp::run(const simd::Table& t, const AdamWArgs& a, const KernelContext& c) { cpu::run(of(t), a, c); }

const char* AdamW8bitOp::reject(const AdamW8bitArgs& a) { return reject_update(a); }
size_t AdamW8bitOp::workspace_bytes(const simd::Table&, const AdamW8bitArgs&, int) { return 0; }
void AdamW8bitOp::run(const simd::Table& t, const AdamW8bitArgs& a, const KernelContext& c) {
  cpu::run(of(t), a, c);
}

const char* SgdOp::reject(const SgdArgs& a) { return reject_update(a); }
size_t SgdOp::workspace_bytes(const simd::Table&, const SgdArgs&, int) { return 0; }
void SgdOp::run(const simd::Table& t, const SgdArgs& a, const KernelContext& c) { cpu::run(of(t), a, c); }

Kernel<AdamWArgs> portable_adamw() { return portable_update<AdamWArgs>(); }
Kernel<AdamW8bitArgs> portable_adamw_8bit() { return portable_update<AdamW8bitArgs>(); }
Kernel<SgdArgs> portable_sgd() { return portable_update<SgdArgs>(); }

}  // namespace lorikeet::cpu
