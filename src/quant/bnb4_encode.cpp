#include "quant/bnb4_encode.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "quant/format.h"
#include "quant/vector_width.h"

namespace lorikeet {
namespace {

// Branch-free so that it vectorises: the product restores the exponent bias and is exact, subnormals
// included. Infinities and NaN become large finite numbers here; largest_f16 finds them first.
LORIKEET_INLINE float finite_f16(uint16_t bits) {
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13,
                 sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

// Largest magnitude as an integer: for finite floats the order of the bits is the order of the magnitudes.
template <class T>
LORIKEET_INLINE T largest_bits(const T* bits, int64_t n, T mask) {
  T largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, static_cast<T>(bits[i] & mask));
  return largest;
}

[[noreturn]] void refuse_element(const Weight& w, std::string_view name, int64_t flat, float value) {
  throw Error(ErrorKind::format,
              fmt::format("cannot quantize: element [{},{}] is {}", flat / w.cols, flat % w.cols, value),
              fmt::format("tensor '{}'", name), "the checkpoint is damaged or diverged: use a finite one");
}

// The elements [first, first + n) in f32.
LORIKEET_INLINE void load(const Weight& w, int64_t first, int64_t n, DType round_to, float* x) {
  const bool plain = w.format == WeightFormat::dense && !w.row_map && !w.transposed;
  if (plain && w.dtype == DType::bf16) {
    const uint16_t* bits = &static_cast<const Bf16*>(w.data)[first].bits;
    for (int64_t i = 0; i < n; ++i) x[i] = std::bit_cast<float>(static_cast<uint32_t>(bits[i]) << 16);
  } else if (plain && w.dtype == DType::f16) {
    const uint16_t* bits = &static_cast<const F16*>(w.data)[first].bits;
    int16_t largest = largest_bits(reinterpret_cast<const int16_t*>(bits), n, int16_t{0x7fff});
    if (largest >= 0x7c00) return decode_flat(w, first, first + n, x);
    for (int64_t i = 0; i < n; ++i) x[i] = finite_f16(bits[i]);
  } else {
    decode_flat(w, first, first + n, x);
  }
  if (round_to == DType::bf16) {
    for (int64_t i = 0; i < n; ++i) x[i] = to_float(to_bf16(x[i]));
  } else if (round_to == DType::f16) {
    for (int64_t i = 0; i < n; ++i) x[i] = to_float(to_f16(x[i]));
  }
}

LORIKEET_INLINE float absmax_of(const Weight& w, std::string_view name, int64_t first, int64_t n,
                                const float* x) {
  int32_t largest = 0;  // signed: comparing is then one instruction
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::bit_cast<int32_t>(x[i]) & 0x7fffffff);
  if (largest >= 0x7f800000) {
    for (int64_t i = 0; i < n; ++i) {
      if ((std::bit_cast<int32_t>(x[i]) & 0x7fffffff) >= 0x7f800000) refuse_element(w, name, first + i, x[i]);
    }
  }
  return std::bit_cast<float>(largest);
}

// g++ 12 takes the size of a vector from no template parameter.
template <int Bytes>
struct Vectors;
template <>
struct Vectors<16> {
  using Floats = float __attribute__((vector_size(16)));
  using Ints = int32_t __attribute__((vector_size(16)));
};
template <>
struct Vectors<32> {
  using Floats = float __attribute__((vector_size(32)));
  using Ints = int32_t __attribute__((vector_size(32)));
};
template <>
struct Vectors<64> {
  using Floats = float __attribute__((vector_size(64)));
  using Ints = int32_t __attribute__((vector_size(64)));
};

// Place of each value in the order of the codes: how many mid-points lie below it. `n` is rounded up to 16.
// 15 comparisons of 16 values in registers of `Bytes` bytes beat a search.
template <int Bytes>
LORIKEET_INLINE void rank_values(const float* x, int64_t n, const std::array<float, 15>& midpoints,
                                 uint8_t* rank) {
  constexpr int kVectors = 64 / Bytes;
  using Floats = typename Vectors<Bytes>::Floats;
  using Ints = typename Vectors<Bytes>::Ints;
  for (int64_t i = 0; i < n; i += 16) {
    Floats v[kVectors];
    Ints below[kVectors] = {};
    std::memcpy(v, x + i, sizeof v);
    for (const float m : midpoints)
      for (int k = 0; k < kVectors; ++k) below[k] -= v[k] > Floats{} + m;  // a true comparison is -1
    int32_t place[16];
    std::memcpy(place, below, sizeof place);
    for (int k = 0; k < 16; ++k) rank[i + k] = static_cast<uint8_t>(place[k]);
  }
}

LORIKEET_INLINE void pack_nibbles(const uint8_t* __restrict rank, int64_t bytes, uint8_t* __restrict out) {
  for (int64_t i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>(rank[2 * i] << 4 | rank[2 * i + 1]);
}

/// The arguments of encode_bnb4.
struct Range {
  const Weight& source;
  const Bnb4Options& options;
  int64_t first_block, last_block;
  uint8_t* codes;
  float* absmax;
  std::string_view name;
  DType round_to;
};

template <int Bytes>
LORIKEET_INLINE void encode_range(const Range& r) {
  const auto& [source, options, first_block, last_block, codes, absmax, name, round_to] = r;
  const std::array<float, 15> midpoints = midpoints_of(options.type);
  const std::array<uint8_t, 16>& order = order_of(options.type);
  std::array<uint8_t, 256> pair_codes;  // a byte of two places to a byte of two codes
  for (int i = 0; i < 256; ++i) pair_codes[i] = static_cast<uint8_t>(order[i >> 4] << 4 | order[i & 15]);
  const int64_t elements = source.rows * source.cols, blocksize = options.blocksize;
  alignas(64) float x[kBnb4MaxBlock] = {};
  alignas(64) uint8_t rank[kBnb4MaxBlock];
  for (int64_t block = first_block; block < last_block; ++block) {
    const int64_t first = block * blocksize, n = std::min(blocksize, elements - first);
    load(source, first, n, round_to, x);
    const float largest = absmax_of(source, name, first, n, x);
    const float divisor = std::max(largest, kSmallestAbsmax);
    // bitsandbytes multiplies full blocks by the reciprocal, but divides the last, partial block and stores
    // its clamped absmax.
    absmax[block] = n == blocksize ? largest : divisor;
    if (n == blocksize) {
      const float reciprocal = 1.0f / divisor;
      for (int64_t i = 0; i < n; ++i) x[i] *= reciprocal;
    } else {
      for (int64_t i = 0; i < n; ++i) x[i] /= divisor;
    }
    int64_t even = n;
    if (n % 2) x[even++] = 0;  // the unused nibble of the last byte
    rank_values<Bytes>(x, even, midpoints, rank);
    uint8_t* out = codes + first / 2;
    pack_nibbles(rank, even / 2, out);
    if (options.type == Bnb4Type::nf4) continue;  // its places are its codes
    for (int64_t i = 0; i < even / 2; ++i) out[i] = pair_codes[out[i]];
  }
}

void encode_16(const Range& r) { encode_range<16>(r); }
#if defined(__x86_64__)
[[gnu::target("avx2")]] void encode_32(const Range& r) { encode_range<32>(r); }
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] void encode_64(const Range& r) { encode_range<64>(r); }
#endif

}  // namespace

void load_finite(const Weight& source, int64_t first, int64_t n, DType round_to, std::string_view name,
                 float* x) {
  load(source, first, n, round_to, x);
  absmax_of(source, name, first, n, x);
}

Bnb4Bytes bnb4_bytes(int64_t elements, const Bnb4Options& options) {
  LORIKEET_CHECK(is_bnb4_blocksize(options.blocksize) && elements >= 0);
  const int64_t blocks = bnb4_blocks(elements, options.blocksize);
  Bnb4Bytes bytes;
  bytes.codes = (elements + 1) / 2;
  bytes.tables = 16 * 4;
  if (options.double_quant) {
    bytes.absmax_codes = blocks;
    bytes.nested_absmax = bnb4_blocks(blocks, kNestedBlock) * 4;
    bytes.tables += 256 * 4;
  } else {
    bytes.absmax = blocks * 4;
  }
  return bytes;
}

int widest_encoder() {
#if defined(__x86_64__)
  static const int bytes = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                                   __builtin_cpu_supports("avx512vl")
                               ? 64
                           : __builtin_cpu_supports("avx2") ? 32
                                                            : 16;
  return bytes;
#else
  return 16;
#endif
}

void encode_bnb4(const Weight& source, const Bnb4Options& options, int64_t first_block, int64_t last_block,
                 uint8_t* codes, float* absmax, std::string_view name, DType round_to, int vector_bytes) {
  LORIKEET_CHECK(is_bnb4_blocksize(options.blocksize) && vector_bytes <= widest_encoder());
  const Range range{source, options, first_block, last_block, codes, absmax, name, round_to};
#if defined(__x86_64__)
  if (vector_bytes == 64) return encode_64(range);
  if (vector_bytes == 32) return encode_32(range);
#endif
  encode_16(range);
}

}  // namespace lorikeet
