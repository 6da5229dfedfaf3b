#include "quant/dynamic8.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/bnb_tables.h"

namespace lorikeet {
namespace {

constexpr int kGridPoints = 65536;

// bitsandbytes does not search the map for a value but for the nearest of 65,536 points over [-1, 1]: entry i
// is the code of point i, the number of mid-points of the map strictly below it. So zero, which lies between
// two points, becomes the code of 1/65535.
using Grid = std::array<uint8_t, kGridPoints>;

Grid grid_of(const std::array<float, 256>& map) {
  Grid t;
  int code = 0;
  for (int i = 0; i < kGridPoints; ++i) {
    const float point = static_cast<float>(2 * i) / 65535.0f - 1.0f;
    while (code < 255 && point > (map[code] + map[code + 1]) * 0.5f) ++code;
    t[i] = static_cast<uint8_t>(code);
  }
  return t;
}

const std::array<float, 256>& values_of(DynamicMap map) {
  return map == DynamicMap::with_negatives ? dynamic_map_signed() : dynamic_map_unsigned();
}

const Grid& grid(DynamicMap map) {
  static const Grid with_negatives = grid_of(dynamic_map_signed()),
                    positive = grid_of(dynamic_map_unsigned());
  return map == DynamicMap::with_negatives ? with_negatives : positive;
}

// Nearest grid point. The reference fuses multiplication and addition; in double both are exact, so one
// rounding to float gives the same.
int grid_index(float value) {
  if (std::isnan(value)) return 0;  // 0 times the infinite reciprocal of a denormal scale
  const float half = (std::clamp(value, -1.0f, 1.0f) + 1.0f) * 0.5f;
  const double position = static_cast<double>(half) * 65535.0 + 0.5;
  return static_cast<int>(static_cast<float>(position));
}

}  // namespace

void encode_dynamic_block(DynamicMap map, const float* x, int64_t n, uint8_t* codes, float* absmax) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  *absmax = largest;
  if (largest == 0) {  // what bitsandbytes stores for a block without content
    std::fill(codes, codes + n, uint8_t{0});
    return;
  }
  const Grid& table = grid(map);
  const float reciprocal = 1.0f / largest;
  for (int64_t i = 0; i < n; ++i) codes[i] = table[grid_index(x[i] * reciprocal)];
}

void decode_dynamic_block(DynamicMap map, const uint8_t* codes, int64_t n, float absmax, float* x) {
  const std::array<float, 256>& values = values_of(map);
  for (int64_t i = 0; i < n; ++i) x[i] = values[codes[i]] * absmax;
}

}  // namespace lorikeet
