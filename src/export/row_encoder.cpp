#include "export/row_encoder.h"

#include <algorithm>
#include <cmath>

#include "quant/format.h"

namespace lorikeet {

namespace {

/// Elements converted and written at a time.
constexpr int64_t kPartElements = int64_t{1} << 22;

[[noreturn]] void refuse_value(const ExpectedTensor& t, float value, int64_t row, int64_t col,
                               WeightType type) {
  throw Error(ErrorKind::unsupported,
              fmt::format("tensor \"{}\" holds {} at row {}, column {}, which {} cannot hold", t.name, value,
                          row, col, name_of(type)),
              "",
              std::isfinite(value) ? "use --dtype bfloat16 or float32"
                                   : "the adapter or the base is broken: its training diverged");
}

}  // namespace

void encode_row(const ExpectedTensor& t, int64_t row, const float* in, int64_t n, WeightType type,
                std::byte* out) {
  constexpr float kLargestF16 = 65504;
  const bool has_f16 = type.format != WeightFormat::dense || type.dtype == DType::f16;  // scales are
  for (int64_t k = 0; k < n; ++k)
    if (!std::isfinite(in[k]) || (has_f16 && std::abs(in[k]) > kLargestF16))
      refuse_value(t, in[k], row, k, type);
  if (type.format != WeightFormat::dense)
    block_encoder(type.format)(in, n, reinterpret_cast<uint8_t*>(out));
  else if (type.dtype == DType::bf16)
    std::transform(in, in + n, reinterpret_cast<Bf16*>(out), [](float x) { return to_bf16(x); });
  else if (type.dtype == DType::f16)
    std::transform(in, in + n, reinterpret_cast<F16*>(out), [](float x) { return to_f16(x); });
  else
    std::copy(in, in + n, reinterpret_cast<float*>(out));
}

void round_row(const ExpectedTensor& t, int64_t row, float* values, int64_t n, WeightType type) {
  if (type == WeightType(DType::f32)) return;
  std::vector<std::byte> encoded(static_cast<size_t>(weight_bytes(type.format, type.dtype, 1, n)));
  encode_row(t, row, values, n, type, encoded.data());
  Weight w;
  w.format = type.format;
  w.dtype = type.dtype;
  w.rows = 1;
  w.cols = n;
  w.data = encoded.data();
  decode_rows(w, 0, 1, 0, n, values, n);
}

void encode_rows(const ExpectedTensor& t, int64_t count, int64_t width, WeightType type, ThreadPool& threads,
                 const std::function<void(int64_t first, int64_t n, float* out)>& read,
                 const std::function<void(std::span<const std::byte>)>& write) {
  const int64_t step = std::min(count, std::max<int64_t>(1, kPartElements / width));
  const auto row_bytes = static_cast<size_t>(weight_bytes(type.format, type.dtype, 1, width));
  std::vector<std::byte> part(static_cast<size_t>(step) * row_bytes);
  std::vector<float> wide(static_cast<size_t>(step * width));
  for (int64_t first = 0; first < count; first += step) {
    const int64_t n = std::min(step, count - first);
    read(first, n, wide.data());
    threads.for_each(n, [&](int64_t i, int) {
      encode_row(t, first + i, wide.data() + i * width, width, type,
                 part.data() + static_cast<size_t>(i) * row_bytes);
    });
    write({part.data(), static_cast<size_t>(n) * row_bytes});
  }
}

void read_in_parallel(const RowReader& rows, const ExpectedTensor& t, int64_t first, int64_t n,
                      ThreadPool& threads, float* out) {
  const int64_t lines = std::max<int64_t>(1, n / (4 * threads.size()));
  threads.for_each((n + lines - 1) / lines, [&](int64_t item, int) {
    const int64_t begin = item * lines, end = std::min(n, begin + lines);
    rows(t, first + begin, first + end, out + begin * t.cols);
  });
}

}  // namespace lorikeet
