#pragma once
// The formats that Lorikeet writes: dense types, and blocks of some GGUF formats.
#include <cstdint>
#include <string_view>

#include "quant/weight.h"

namespace lorikeet {

/// What written weights are: a dense type, or blocks.
struct WeightType {
  WeightFormat format = WeightFormat::dense;
  DType dtype = DType::f32;                                      ///< of the elements if dense
  constexpr WeightType(DType type) : dtype(type) {}              // NOLINT(google-explicit-constructor)
  constexpr WeightType(WeightFormat blocks) : format(blocks) {}  // NOLINT(google-explicit-constructor)
  bool operator==(const WeightType&) const = default;
};
/// "bfloat16", "Q8_0".
std::string_view name_of(WeightType type);

/// Encodes `count` elements of a row, whole blocks, all finite.
using BlockEncoder = void (*)(const float* in, int64_t count, uint8_t* out);
/// Null for formats that are only read.
BlockEncoder block_encoder(WeightFormat format);

}  // namespace lorikeet
