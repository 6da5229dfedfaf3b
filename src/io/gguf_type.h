#pragma once
// Value and tensor types of GGUF: one table each.
#include <cstdint>
#include <string>

namespace lorikeet {

enum class GgufValueType : uint32_t {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12
};
inline constexpr uint32_t kGgufValueTypes = 13;

const char* name_of(GgufValueType type);
/// Bytes of a value; 0 for strings and arrays.
uint32_t size_of(GgufValueType type);

/// ggml's tensor types. Numbers that are not listed here may occur in a file.
enum class GgufType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  bf16 = 30,
  mxfp4 = 39
};

/// How a type stores elements: blocks of `elements` in `bytes`. Zeros mean an unknown type.
struct GgufBlock {
  uint32_t elements = 0, bytes = 0;
};
GgufBlock block_of(GgufType type);
/// "Q4_K", or "type 99".
std::string name_of(GgufType type);

}  // namespace lorikeet
