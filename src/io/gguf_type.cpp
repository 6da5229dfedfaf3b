#include "io/gguf_type.h"

#include <iterator>

namespace lorikeet {
namespace {

struct TypeRow {
  GgufType type;
  const char* name;
  GgufBlock block;
};

constexpr TypeRow kTypes[] = {
    {GgufType::f32, "F32", {1, 4}},       {GgufType::f16, "F16", {1, 2}},
    {GgufType::q4_0, "Q4_0", {32, 18}},   {GgufType::q4_1, "Q4_1", {32, 20}},
    {GgufType::q5_0, "Q5_0", {32, 22}},   {GgufType::q5_1, "Q5_1", {32, 24}},
    {GgufType::q8_0, "Q8_0", {32, 34}},   {GgufType::q8_1, "Q8_1", {32, 40}},
    {GgufType::q2_k, "Q2_K", {256, 84}},  {GgufType::q3_k, "Q3_K", {256, 110}},
    {GgufType::q4_k, "Q4_K", {256, 144}}, {GgufType::q5_k, "Q5_K", {256, 176}},
    {GgufType::q6_k, "Q6_K", {256, 210}}, {GgufType::q8_k, "Q8_K", {256, 292}},
    {GgufType::i8, "I8", {1, 1}},         {GgufType::i16, "I16", {1, 2}},
    {GgufType::i32, "I32", {1, 4}},       {GgufType::i64, "I64", {1, 8}},
    {GgufType::f64, "F64", {1, 8}},       {GgufType::bf16, "BF16", {1, 2}},
    {GgufType::mxfp4, "MXFP4", {32, 17}},
};

constexpr const char* kValueNames[] = {"uint8",   "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                       "boolean", "string", "array",  "uint64", "int64",  "float64"};
constexpr uint32_t kValueSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
static_assert(std::size(kValueNames) == kGgufValueTypes && std::size(kValueSizes) == kGgufValueTypes);

}  // namespace

const char* name_of(GgufValueType type) { return kValueNames[static_cast<uint32_t>(type)]; }
uint32_t size_of(GgufValueType type) { return kValueSizes[static_cast<uint32_t>(type)]; }

GgufBlock block_of(GgufType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.block;
  }
  return {};
}

std::string name_of(GgufType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.name;
  }
  return "type " + std::to_string(static_cast<uint32_t>(type));
}

}  // namespace lorikeet
