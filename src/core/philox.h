#pragma once
// Counter-based random numbers (Philox 4x32-10): the n-th number of a stream is a function of (key, n) alone,
// so threads, splitting and resuming cannot change a draw. Source: Salmon et al., "Parallel random numbers:
// as easy as 1, 2, 3", SC 2011.
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace lorikeet {

/// FNV-1a: a stable hash of a tensor's name (std::hash differs between libraries).
constexpr uint64_t stable_hash(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return h;
}

class Philox {
 public:
  /// `stream` separates uses of one seed, e.g. stable_hash of a tensor name.
  constexpr Philox(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  /// Four 32-bit words for counter (`index`, stream).
  constexpr std::array<uint32_t, 4> words(uint64_t index) const {
    std::array<uint32_t, 4> c = {lo(index), hi(index), lo(stream_), hi(stream_)};
    uint32_t k0 = lo(seed_), k1 = hi(seed_);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
      c = {hi(p1) ^ c[1] ^ k0, lo(p1), hi(p0) ^ c[3] ^ k1, lo(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return c;
  }
  /// Uniform in [0, 1) with 24 random bits; element n is word n % 4 of counter n / 4.
  constexpr float uniform(uint64_t n) const {
    return static_cast<float>(words(n / 4)[n % 4] >> 8) * 0x1p-24f;
  }
  /// Uniform in [0, 1) with 53 random bits, one counter each.
  constexpr double uniform_double(uint64_t n) const {
    const auto w = words(n);
    return static_cast<double>(((uint64_t{w[0]} << 32) | w[1]) >> 11) * 0x1p-53;
  }
  /// Standard normal (Box-Muller), one counter each.
  double normal(uint64_t n) const {
    const auto w = words(n);
    const double u = (static_cast<double>(((uint64_t{w[0]} << 32) | w[1]) >> 11) + 1) * 0x1p-53;
    const double v = static_cast<double>(((uint64_t{w[2]} << 32) | w[3]) >> 11) * 0x1p-53;
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  }
  /// Uniform integer in [0, bound), unbiased enough for shuffling (64-bit multiply).
  constexpr uint64_t below(uint64_t n, uint64_t bound) const {
    const auto w = words(n);
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((Wide{(uint64_t{w[0]} << 32) | w[1]} * bound) >> 64);
  }

 private:
  static constexpr uint32_t lo(uint64_t x) { return static_cast<uint32_t>(x); }
  static constexpr uint32_t hi(uint64_t x) { return static_cast<uint32_t>(x >> 32); }
  uint64_t seed_, stream_;
};

}  // namespace lorikeet
