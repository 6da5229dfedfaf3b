#include "quant/encode.h"

#include "quant/decoders.h"
#include "quant/format.h"

namespace lorikeet {
namespace {

struct Row {
  WeightFormat format;
  BlockEncoder encode;
};
constexpr Row kEncoders[] = {{WeightFormat::q4_0, encode_q4_0}, {WeightFormat::q8_0, encode_q8_0}};

}  // namespace

std::string_view name_of(WeightType type) {
  return type.format == WeightFormat::dense ? name_of(type.dtype) : format_info(type.format).name;
}

BlockEncoder block_encoder(WeightFormat format) {
  for (const Row& row : kEncoders)
    if (row.format == format) return row.encode;
  return nullptr;
}

}  // namespace lorikeet
