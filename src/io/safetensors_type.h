#pragma once
// Element types of safetensors files: one table for names and sizes.
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/dtype.h"

namespace lorikeet {

enum class SafetensorsType : uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

int bits_of(SafetensorsType type);
const char* name_of(SafetensorsType type);
std::optional<SafetensorsType> safetensors_type(std::string_view name);

/// The engine's type for F32, BF16, F16 and F64; nothing for the rest.
std::optional<DType> to_dtype(SafetensorsType type);
/// Reverse of to_dtype; c128 has no counterpart and is an internal error.
SafetensorsType to_safetensors_type(DType dtype);

}  // namespace lorikeet
