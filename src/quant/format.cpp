#include "quant/format.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace lorikeet {

void decode_rows(const Weight& w, int64_t row0, int64_t row1, int64_t col0, int64_t col1, float* out,
                 int64_t ld) {
  const auto decode = format_info(w.format).decode;
  for (int64_t row = row0; row < row1; ++row, out += ld)
    decode(w, w.row_map ? w.row_map[row] : row, col0, col1, out);
}

void decode_flat(const Weight& w, int64_t first, int64_t last, float* out) {
  const auto decode = format_info(w.format).decode;
  while (first < last) {
    const int64_t row = first / w.cols, col = first % w.cols, n = std::min(w.cols - col, last - first);
    decode(w, w.row_map ? w.row_map[row] : row, col, col + n, out);
    first += n;
    out += n;
  }
}

int64_t weight_bytes(WeightFormat format, DType dtype, int64_t rows, int64_t cols) {
  LORIKEET_CHECK(format != WeightFormat::bnb4 && rows >= 0 && cols >= 0);
  const FormatInfo& info = format_info(format);
  if (cols % info.block_elements != 0) {
    throw Error(ErrorKind::format, fmt::format("rows of {} elements are no multiple of {}'s block of {}",
                                               cols, info.name, info.block_elements));
  }
  const int64_t block =
      format == WeightFormat::dense ? static_cast<int64_t>(size_of(dtype)) : info.block_bytes;
  int64_t bytes;
  if (__builtin_mul_overflow(rows, cols / info.block_elements, &bytes) ||
      __builtin_mul_overflow(bytes, block, &bytes)) {
    throw Error(ErrorKind::format,
                fmt::format("the size of a [{},{}] {} matrix overflows", rows, cols, info.name));
  }
  return bytes;
}

std::vector<int32_t> gguf_rope_row_map(int64_t heads, int64_t head_dim) {
  LORIKEET_CHECK(heads > 0 && head_dim > 0 && head_dim % 2 == 0 && heads <= INT32_MAX / head_dim);
  std::vector<int32_t> map(static_cast<size_t>(heads * head_dim));
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < heads * head_dim; ++i) {
    const int64_t head = i / head_dim, part = i % head_dim / half, pair = i % half;
    map[i] = static_cast<int32_t>(head * head_dim + 2 * pair + part);
  }
  return map;
}

void gather_rows(const void* in, void* out, int64_t row_bytes, std::span<const int32_t> map) {
  auto* to = static_cast<char*>(out);
  for (const int32_t row : map) {
    std::memcpy(to, static_cast<const char*>(in) + row * row_bytes, static_cast<size_t>(row_bytes));
    to += row_bytes;
  }
}

}  // namespace lorikeet
