// Double quantization: the absmax of the 4-bit blocks in 8 bits.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "quant/bnb4_encode.h"

namespace lorikeet {
namespace {

constexpr int kGridPoints = 65536;

// bitsandbytes does not search the map for a value but for the nearest of 65,536 points over [-1, 1]: entry i
// is the code of point i, the number of mid-points of the map strictly below it. So zero, which lies between
// two points, becomes the code of 1/65535.
using Grid = std::array<uint8_t, kGridPoints>;

const Grid& grid() {
  static const Grid table = [] {
    const std::array<float, 256>& map = dynamic_map_signed();
    Grid t;
    int code = 0;
    for (int i = 0; i < kGridPoints; ++i) {
      const float point = static_cast<float>(2 * i) / 65535.0f - 1.0f;
      while (code < 255 && point > (map[code] + map[code + 1]) * 0.5f) ++code;
      t[i] = static_cast<uint8_t>(code);
    }
    return t;
  }();
  return table;
}

// Nearest grid point. The reference fuses multiplication and addition; in double both are exact, so one
// rounding to float gives the same.
int grid_index(float value) {
  if (std::isnan(value)) return 0;  // 0 times the infinite reciprocal of a denormal scale
  const float half = (std::clamp(value, -1.0f, 1.0f) + 1.0f) * 0.5f;
  return static_cast<int>(static_cast<float>(static_cast<double>(half) * 65535.0 + 0.5));
}

}  // namespace

float nested_offset_of(std::span<const float> absmax) {
  LORIKEET_CHECK(!absmax.empty());
  double sum = 0;
  for (const float a : absmax) sum += a;
  return static_cast<float>(sum / static_cast<double>(absmax.size()));
}

void encode_absmax(std::span<const float> absmax, float offset, uint8_t* codes, float* nested_absmax) {
  const Grid& table = grid();
  float x[kNestedBlock];
  for (size_t first = 0; first < absmax.size(); first += kNestedBlock) {
    const size_t n = std::min<size_t>(kNestedBlock, absmax.size() - first);
    float largest = 0;
    for (size_t i = 0; i < n; ++i) {
      x[i] = absmax[first + i] - offset;
      largest = std::max(largest, std::abs(x[i]));
    }
    nested_absmax[first / kNestedBlock] = largest;
    if (largest == 0) {  // what bitsandbytes stores for a block without content
      std::fill(codes + first, codes + first + n, uint8_t{0});
      continue;
    }
    const float reciprocal = 1.0f / largest;
    for (size_t i = 0; i < n; ++i) codes[first + i] = table[grid_index(x[i] * reciprocal)];
  }
}

}  // namespace lorikeet
