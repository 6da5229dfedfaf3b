#pragma once
// Shapes of attention on the device, and the comparison of what belongs to their rows.
#include <cmath>

#include "cuda/device.h"

namespace lorikeet::test {

struct Case {
  const char* name;
  std::vector<RowSpan> rows;
  Heads heads;
  int64_t queries, keys;  // of the tensors, which may hold more than the rows
  int64_t window = 0;
};

/// Lengths that are multiples of nothing, several and one head to a group, rows apart and out of order, more
/// keys than queries, windows that begin in another tile, and the widest and narrowest heads.
inline std::vector<Case> cases() {
  const std::vector<RowSpan> odd = {{0, 200, 0, 200},
                                    {200, 1, 200, 1},
                                    {201, 77, 201, 77},
                                    {278, 130, 278, 130}},
                             apart = {{150, 65, 150, 65}, {3, 129, 3, 129}, {230, 33, 230, 33}},
                             cached = {{0, 1, 0, 150}, {1, 5, 200, 69}, {6, 90, 300, 200}};
  return {{"odd lengths", odd, {9, 3, 64}, 408, 408},
          {"odd lengths", odd, {32, 8, 128}, 408, 408},
          {"odd lengths", odd, {4, 4, 64}, 408, 408},
          {"odd lengths", odd, {2, 1, 128}, 408, 408},
          {"odd lengths", odd, {2, 1, 16}, 408, 408},
          {"odd lengths", odd, {4, 2, 96}, 408, 408},
          {"odd lengths", odd, {2, 1, 256}, 408, 408},
          {"rows apart", apart, {9, 3, 64}, 270, 270},
          {"rows apart", apart, {4, 2, 128}, 270, 270},
          {"more keys", cached, {9, 3, 64}, 96, 500},
          {"more keys", cached, {8, 2, 128}, 96, 500},
          {"a window", odd, {9, 3, 64}, 408, 408, 33},
          {"a window", odd, {4, 1, 128}, 408, 408, 128},
          {"a window and more keys", cached, {9, 3, 64}, 96, 500, 100},
          {"whole tiles", {{0, 256, 0, 256}, {256, 256, 256, 256}}, {6, 2, 128}, 512, 512}};
}

/// Which of the tokens belong to a row.
inline std::vector<bool> covered(const Case& c, bool keys) {
  std::vector<bool> in(static_cast<size_t>(keys ? c.keys : c.queries));
  for (const RowSpan& r : c.rows)
    for (int32_t i = 0; i < (keys ? r.k_count : r.q_count); ++i)
      in[static_cast<size_t>((keys ? r.k_begin : r.q_begin) + i)] = true;
  return in;
}

/// nmse over the tokens of the rows; the others must hold what they held.
inline double error(const Case& c, bool keys, const Matrix& got, const TensorView& want) {
  const std::vector<bool> in = covered(c, keys);
  double error = 0, power = 0;
  for (int64_t r = 0; r < want.rows; ++r)
    for (int64_t i = 0; i < want.cols; ++i) {
      if (!in[static_cast<size_t>(r)]) {
        EXPECT_TRUE(std::isnan(got.at(r, i))) << "token " << r << " belongs to no row";
        if (!std::isnan(got.at(r, i))) return 1;
        continue;
      }
      const double w = value_at(want, r, i), d = got.at(r, i) - w;
      error += d * d;
      power += w * w;
    }
  EXPECT_TRUE(got.gaps_untouched());
  return error / power;
}

class OnDeviceByCase : public OnDevice {
 protected:
  template <class F>
  void for_each_case(const F& f) {
    for (const Case& c : cases()) {
      SCOPED_TRACE(fmt::format("{}, heads {}/{} of {}", c.name, c.heads.q, c.heads.kv, c.heads.dim));
      f(c);
    }
  }
};

}  // namespace lorikeet::test
