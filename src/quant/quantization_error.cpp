#include "quant/quantization_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/format.h"

namespace lorikeet {

namespace {

constexpr int64_t kItemElements = int64_t{1} << 16;
constexpr int64_t kOtherBlock = 64;

int64_t block_of(const Weight& w) {
  if (w.format == WeightFormat::bnb4) return w.blocksize;
  const int64_t block = format_info(w.format).block_elements;
  return block > 1 ? block : kOtherBlock;
}

struct Part {
  double error = 0, size = 0, absolute = 0, worst = -1;
  int64_t worst_at = 0;
};

double ratio(double error, double size) {
  if (size > 0) return std::sqrt(error / size);
  return error > 0 ? std::numeric_limits<double>::infinity() : 0;
}

Part measure(const Weight& exact, const Weight& quantized, int64_t first, int64_t last, int64_t block) {
  const auto n = static_cast<size_t>(last - first);
  std::vector<float> a(n), b(n);
  decode_flat(exact, first, last, a.data());
  decode_flat(quantized, first, last, b.data());
  Part p;
  for (size_t begin = 0; begin < n; begin += static_cast<size_t>(block)) {
    const size_t end = std::min(n, begin + static_cast<size_t>(block));
    double error = 0, size = 0;
    for (size_t i = begin; i < end; ++i) {
      const double d = static_cast<double>(b[i]) - static_cast<double>(a[i]);
      error += d * d;
      size += static_cast<double>(a[i]) * static_cast<double>(a[i]);
      p.absolute += std::abs(d);
    }
    p.error += error;
    p.size += size;
    if (const double relative = ratio(error, size); relative > p.worst) {
      p.worst = relative;
      p.worst_at = first + static_cast<int64_t>(begin);
    }
  }
  return p;
}

}  // namespace

QuantizationError quantization_error(const Weight& exact, const Weight& quantized, ThreadPool& threads) {
  LORIKEET_CHECK(exact.rows == quantized.rows && exact.cols == quantized.cols);
  const int64_t elements = exact.rows * exact.cols, block = block_of(quantized);
  const int64_t step = std::max<int64_t>(1, kItemElements / block) * block;
  std::vector<Part> parts(static_cast<size_t>((elements + step - 1) / step));
  threads.for_each(static_cast<int64_t>(parts.size()), [&](int64_t item, int) {
    parts[static_cast<size_t>(item)] =
        measure(exact, quantized, item * step, std::min(elements, (item + 1) * step), block);
  });
  Part all;
  for (const Part& p : parts) {
    all.error += p.error;
    all.size += p.size;
    all.absolute += p.absolute;
    if (p.worst > all.worst) {
      all.worst = p.worst;
      all.worst_at = p.worst_at;
    }
  }
  QuantizationError e;
  e.relative_rms = ratio(all.error, all.size);
  e.mean_absolute = elements > 0 ? all.absolute / static_cast<double>(elements) : 0;
  e.worst_block = std::max(0.0, all.worst);
  e.worst_row = all.worst_at / std::max<int64_t>(1, exact.cols);
  e.worst_col = all.worst_at % std::max<int64_t>(1, exact.cols);
  e.square_error = all.error;
  e.square_size = all.size;
  return e;
}

}  // namespace lorikeet
