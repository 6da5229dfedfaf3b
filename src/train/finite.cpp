#include "train/finite.h"

#include <cmath>
#include <vector>

#include "core/error.h"
#include "model/loader.h"
#include "quant/decode.h"

namespace lorikeet {

namespace {

/// decode(row, out) gives the rows of a matrix one by one.
template <class F>
std::string first_in(const std::string& name, int64_t rows, int64_t cols, const F& decode) {
  std::vector<float> row(static_cast<size_t>(cols));
  for (int64_t r = 0; r < rows; ++r) {
    decode(r, row.data());
    for (size_t c = 0; c < row.size(); ++c)
      if (!std::isfinite(row[c])) return fmt::format("{} [{},{}] is {}", name, r, c, row[c]);
  }
  return {};
}

}  // namespace

std::string non_finite_value(const TrainableStore& store) {
  for (const NamedTensor& t : store.tensors()) {
    const TensorView v = store.value_of(t);
    std::string found = first_in(t.name, v.rows, v.cols, [&](int64_t r, float* out) {
      decode_rows(Weight::dense(v.row_range(r, 1)), 0, 1, 0, v.cols, out, v.cols);
    });
    if (!found.empty()) return found;
  }
  return {};
}

std::string non_finite_weight(const ModelFiles& files) {
  for (const SourceTensor& t : files.tensors()) {
    std::vector<int32_t> row_map;
    Weight w = stored_weight(t, files.spec(), row_map);
    w.row_map = nullptr;  // the order of rows does not matter here
    std::string found = first_in(t.expected.name, w.rows, w.cols, [&](int64_t r, float* out) {
      decode_rows(w, r, r + 1, 0, w.cols, out, w.cols);
    });
    files.release(t);
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace lorikeet
