#include "io/safetensors_type.h"

#include "core/error.h"

namespace lorikeet {
namespace {

struct Row {
  SafetensorsType type;
  const char* name;
  int bits;
};

// In the order of the enumeration, which is the file format's own order by width: a writer sorts by it.
constexpr Row kTypes[] = {
    {SafetensorsType::boolean, "BOOL", 8},    {SafetensorsType::f4, "F4", 4},
    {SafetensorsType::f6_e2m3, "F6_E2M3", 6}, {SafetensorsType::f6_e3m2, "F6_E3M2", 6},
    {SafetensorsType::u8, "U8", 8},           {SafetensorsType::i8, "I8", 8},
    {SafetensorsType::f8_e5m2, "F8_E5M2", 8}, {SafetensorsType::f8_e4m3, "F8_E4M3", 8},
    {SafetensorsType::f8_e8m0, "F8_E8M0", 8}, {SafetensorsType::i16, "I16", 16},
    {SafetensorsType::u16, "U16", 16},        {SafetensorsType::f16, "F16", 16},
    {SafetensorsType::bf16, "BF16", 16},      {SafetensorsType::i32, "I32", 32},
    {SafetensorsType::u32, "U32", 32},        {SafetensorsType::f32, "F32", 32},
    {SafetensorsType::c64, "C64", 64},        {SafetensorsType::f64, "F64", 64},
    {SafetensorsType::i64, "I64", 64},        {SafetensorsType::u64, "U64", 64},
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (static_cast<size_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

int bits_of(SafetensorsType type) { return kTypes[static_cast<int>(type)].bits; }
const char* name_of(SafetensorsType type) { return kTypes[static_cast<int>(type)].name; }

std::optional<SafetensorsType> safetensors_type(std::string_view name) {
  for (const Row& row : kTypes) {
    if (name == row.name) return row.type;
  }
  return std::nullopt;
}

std::optional<DType> to_dtype(SafetensorsType type) {
  switch (type) {
    case SafetensorsType::f32:
      return DType::f32;
    case SafetensorsType::bf16:
      return DType::bf16;
    case SafetensorsType::f16:
      return DType::f16;
    case SafetensorsType::f64:
      return DType::f64;
    default:
      return std::nullopt;
  }
}

SafetensorsType to_safetensors_type(DType dtype) {
  LORIKEET_CHECK(dtype != DType::c128);
  constexpr SafetensorsType types[] = {SafetensorsType::f32, SafetensorsType::bf16, SafetensorsType::f16,
                                       SafetensorsType::f64};
  return types[static_cast<int>(dtype)];
}

}  // namespace lorikeet
