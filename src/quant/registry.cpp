#include "quant/decoders.h"
#include "quant/format.h"

namespace lorikeet {
namespace {

// In the order of WeightFormat.
constexpr FormatInfo kFormats[] = {
    {WeightFormat::dense, "dense", 1, 0, decode_dense},  {WeightFormat::bnb4, "bnb_4bit", 1, 0, decode_bnb4},
    {WeightFormat::q4_0, "Q4_0", 32, 18, decode_q4_0},   {WeightFormat::q4_1, "Q4_1", 32, 20, decode_q4_1},
    {WeightFormat::q5_0, "Q5_0", 32, 22, decode_q5_0},   {WeightFormat::q5_1, "Q5_1", 32, 24, decode_q5_1},
    {WeightFormat::q8_0, "Q8_0", 32, 34, decode_q8_0},   {WeightFormat::q4_k, "Q4_K", 256, 144, decode_q4_k},
    {WeightFormat::q5_k, "Q5_K", 256, 176, decode_q5_k}, {WeightFormat::q6_k, "Q6_K", 256, 210, decode_q6_k},
    {WeightFormat::gptq, "GPTQ", 1, 0, decode_gptq},     {WeightFormat::awq, "AWQ", 1, 0, decode_awq},
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(kFormats); ++i) {
    if (static_cast<size_t>(kFormats[i].format) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

std::span<const FormatInfo> formats() { return kFormats; }

const FormatInfo& format_info(WeightFormat format) { return kFormats[static_cast<size_t>(format)]; }

}  // namespace lorikeet
