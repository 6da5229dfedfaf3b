#pragma once
// The JSON header of a safetensors file, as text in and checked fields out.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors_type.h"

namespace lorikeet {

struct SafetensorsHeader {
  struct Entry {
    std::string name;
    SafetensorsType type = SafetensorsType::f32;
    std::vector<int64_t> shape;
    uint64_t begin = 0, end = 0;  ///< relative to the data
  };
  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;  ///< sorted by name, no two alike
};

/// Parses and checks a header on its own and against `data_bytes`, the bytes that follow it: every shape fits
/// its range, and the ranges cover the data exactly once. Throws Error(format) naming `path` and the tensor.
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           const std::string& path);

/// Bytes of a tensor; nothing if the product overflows or is no whole number of bytes.
std::optional<uint64_t> safetensors_bytes(SafetensorsType type, const std::vector<int64_t>& shape);

}  // namespace lorikeet
