#include "backend/cuda/for_each.cuh"
#include "backend/cuda/kernels.h"

namespace lorikeet::cuda {

namespace {

/// HeadLayout::at.
struct HeadPlaces {
  uint32_t first, group, step, dim;

  HeadPlaces(const HeadLayout& l, int32_t dim)
      : first(static_cast<uint32_t>(l.first)),
        group(static_cast<uint32_t>(l.group)),
        step(static_cast<uint32_t>(l.step)),
        dim(static_cast<uint32_t>(dim)) {}
  __device__ uint32_t at(uint32_t head) const {
    return group == 0 ? first + head * dim : first + head / group * step + head % group * dim;
  }
  bool takes_groups(uint32_t n) const { return first % n == 0 && dim % n == 0 && step % n == 0; }
};

/// A column is a pair of a head that is turned or, after the head's pairs, an element that is copied.
template <class T, bool kInterleaved>
struct Rope {
  Rows<T> y, x;
  Rows<const float> cos, sin;
  const int32_t* positions;
  HeadPlaces y_heads, x_heads;
  uint32_t half, work;  // pairs of a head, and columns
  float sign;

  template <int n>
  __device__ void run(int64_t row, int64_t col) const {
    const uint32_t head = static_cast<uint32_t>(col) / work, j = static_cast<uint32_t>(col) % work;
    const T* from = x.at(row, x_heads.at(head));
    T* to = y.at(row, y_heads.at(head));
    if (j >= half) {
      if (from != to) store(load<n>(from + half + j), to + half + j);
      return;
    }
    const int64_t position = positions[row];
    const Values<n> c = load<n>(cos.at(position, j)), s = load<n>(sin.at(position, j));
    if constexpr (kInterleaved) {
      const Values<2 * n> pairs = load<2 * n>(from + 2 * j);
      store(each<2 * n>([&](int i) {
              const float u = pairs.e[i / 2 * 2], v = pairs.e[i / 2 * 2 + 1], turn = sign * s.e[i / 2];
              return i % 2 == 0 ? u * c.e[i / 2] - v * turn : v * c.e[i / 2] + u * turn;
            }),
            to + 2 * j);
    } else {
      const Values<n> u = load<n>(from + j), v = load<n>(from + j + half);
      store(each<n>([&](int i) { return u.e[i] * c.e[i] - v.e[i] * (sign * s.e[i]); }), to + j);
      store(each<n>([&](int i) { return v.e[i] * c.e[i] + u.e[i] * (sign * s.e[i]); }), to + j + half);
    }
  }
};

const char* reject(const RopeArgs& a) {
  if (a.rotary_dim > 0 && (a.cos.dtype != DType::f32 || a.sin.dtype != DType::f32))
    return "the tables must be f32";
  return reject_types({a.x, a.y});
}

template <class T, bool kInterleaved>
void run(const RopeArgs& a, const KernelContext& c) {
  const auto half = static_cast<uint32_t>(a.rotary_dim / 2),
             rest = static_cast<uint32_t>(a.head_dim) - 2 * half;
  const Rope<T, kInterleaved> body{Rows<T>(a.y),
                                   Rows<T>(a.x),
                                   Rows<const float>(a.cos),
                                   Rows<const float>(a.sin),
                                   a.positions,
                                   HeadPlaces(a.y_heads, a.head_dim),
                                   HeadPlaces(a.x_heads, a.head_dim),
                                   half,
                                   half + rest,
                                   static_cast<float>(a.sign)};
  constexpr int kGroup = kWide<T>;
  const bool groups = take_groups({a.x, a.y, a.cos, a.sin}, kGroup) && half % kGroup == 0 &&
                      rest % kGroup == 0 && body.y_heads.takes_groups(kGroup) &&
                      body.x_heads.takes_groups(kGroup);
  for_each<kGroup>(a.op_name, {a.x.rows, a.heads() * body.work}, groups, body, queue_of(c));
}

void run(const RopeArgs& a, const KernelContext& c) {
  with_compute_type(a.x.dtype, [&]<class T>(T) { a.interleaved ? run<T, true>(a, c) : run<T, false>(a, c); });
}

}  // namespace

template <>
std::span<const Kernel<RopeArgs>> op_kernels() {
  static constexpr Kernel<RopeArgs> list[] = {{"cuda", reject, nullptr, run}};
  return list;
}

}  // namespace lorikeet::cuda
