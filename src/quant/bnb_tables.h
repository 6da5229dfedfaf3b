#pragma once
// The code books of bitsandbytes' 4-bit types and the 8-bit dynamic map, bit for bit.
#include <array>
#include <cstdint>

namespace lorikeet {

enum class Bnb4Type : uint8_t { nf4, fp4 };

constexpr const char* name_of(Bnb4Type type) { return type == Bnb4Type::nf4 ? "nf4" : "fp4"; }

/// Value of each 4-bit code. NF4: quantiles of a normal distribution. FP4: bit 3 is the sign, the rest is not
/// in order. Source: bitsandbytes functional.py, get_4bit_type.
inline constexpr std::array<float, 16> kNf4Code = {-1.0f,
                                                   -0.6961928009986877f,
                                                   -0.5250730514526367f,
                                                   -0.39491748809814453f,
                                                   -0.28444138169288635f,
                                                   -0.18477343022823334f,
                                                   -0.09105003625154495f,
                                                   0.0f,
                                                   0.07958029955625534f,
                                                   0.16093020141124725f,
                                                   0.24611230194568634f,
                                                   0.33791524171829224f,
                                                   0.44070982933044434f,
                                                   0.5626170039176941f,
                                                   0.7229568362236023f,
                                                   1.0f};
inline constexpr std::array<float, 16> kFp4Code = {0.0f,
                                                   0.0052083334885537624f,
                                                   0.6666666865348816f,
                                                   1.0f,
                                                   0.3333333432674408f,
                                                   0.5f,
                                                   0.1666666716337204f,
                                                   0.25f,
                                                   0.0f,
                                                   -0.0052083334885537624f,
                                                   -0.6666666865348816f,
                                                   -1.0f,
                                                   -0.3333333432674408f,
                                                   -0.5f,
                                                   -0.1666666716337204f,
                                                   -0.25f};

constexpr const std::array<float, 16>& code_of(Bnb4Type type) {
  return type == Bnb4Type::nf4 ? kNf4Code : kFp4Code;
}

/// The codes in ascending order of their values. FP4 has two zeros; bitsandbytes puts code 0 below code 8, so
/// a small positive value becomes 8 and a small negative one 0.
inline constexpr std::array<uint8_t, 16> kNf4Order = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
inline constexpr std::array<uint8_t, 16> kFp4Order = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

constexpr const std::array<uint8_t, 16>& order_of(Bnb4Type type) {
  return type == Bnb4Type::nf4 ? kNf4Order : kFp4Order;
}

/// Mid-points between neighbouring values, in f32. A value takes the place in the order that equals the
/// number of mid-points strictly below it.
constexpr std::array<float, 15> midpoints_of(Bnb4Type type) {
  std::array<float, 15> m{};
  for (int i = 0; i < 15; ++i)
    m[i] = (code_of(type)[order_of(type)[i]] + code_of(type)[order_of(type)[i + 1]]) / 2;
  return m;
}

/// bitsandbytes' signed dynamic 8-bit map: 256 ascending values from -0.99296875 to 1.
/// Source: functional.py, create_dynamic_map(signed=True).
const std::array<float, 256>& dynamic_map_signed();
/// The unsigned variant, for second moments of 8-bit optimizers: 0 to 1.
const std::array<float, 256>& dynamic_map_unsigned();

}  // namespace lorikeet
