#include "quant/bnb_tables.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace lorikeet {
namespace {

// Point i of torch.linspace(0.1, 1, n) in f32. torch builds the upper half from the end, and its kernel fuses
// the multiplication with the addition: one rounding, which double arithmetic gives here.
float linspace_point(int i, int n) {
  constexpr float start = 0.1f, end = 1.0f;
  const double step = (end - start) / static_cast<float>(n - 1);
  return i < n / 2 ? static_cast<float>(start + step * i) : static_cast<float>(end - step * (n - i - 1));
}

// For each of 7 decades, as many mid-points of a linear range as its exponent leaves room for; then 0 and 1.
std::array<float, 256> dynamic_map(bool with_negatives) {
  std::vector<float> values = {0.0f, 1.0f};
  for (int i = 0; i < 7; ++i) {
    const int points = (with_negatives ? 1 << i : 2 << i) + 1;
    const auto scale = static_cast<float>(std::pow(10.0, i - 6));
    for (int p = 0; p + 1 < points; ++p) {
      const float mean = (linspace_point(p, points) + linspace_point(p + 1, points)) / 2;
      values.push_back(scale * mean);
      if (with_negatives) values.push_back(-scale * mean);
    }
  }
  LORIKEET_CHECK(values.size() == 256);
  std::sort(values.begin(), values.end());
  std::array<float, 256> map;
  std::copy(values.begin(), values.end(), map.begin());
  return map;
}

}  // namespace

const std::array<float, 256>& dynamic_map_signed() {
  static const std::array<float, 256> map = dynamic_map(true);
  return map;
}

const std::array<float, 256>& dynamic_map_unsigned() {
  static const std::array<float, 256> map = dynamic_map(false);
  return map;
}

}  // namespace lorikeet
