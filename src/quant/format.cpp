#include "quant/format.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace lorikeet {

namespace {

/// decode_rows of a format that is stored column after column.
void decode_columns(const Weight& w, int64_t row0, int64_t row1, int64_t col0, int64_t col1, float* out,
                    int64_t ld) {
  constexpr int64_t kPiece = 64;
  float values[kPiece];
  const auto decode = format_info(w.format).decode;
  LORIKEET_CHECK(!w.row_map);
  for (int64_t row = row0; row < row1; row += kPiece) {
    const int64_t n = std::min(kPiece, row1 - row);
    for (int64_t col = col0; col < col1; ++col) {
      decode(w, col, row, row + n, values);
      for (int64_t i = 0; i < n; ++i) out[(row - row0 + i) * ld + col - col0] = values[i];
    }
  }
}

}  // namespace

void decode_rows(const Weight& w, int64_t row0, int64_t row1, int64_t col0, int64_t col1, float* out,
                 int64_t ld) {
  const auto decode = format_info(w.format).decode;
  if (w.by_columns()) return decode_columns(w, row0, row1, col0, col1, out, ld);
  for (int64_t row = row0; row < row1; ++row, out += ld)
    decode(w, w.row_map ? w.row_map[row] : row, col0, col1, out);
}

void decode_flat(const Weight& w, int64_t first, int64_t last, float* out) {
  while (first < last) {
    const int64_t row = first / w.cols, col = first % w.cols;
    // As many whole rows as there are, or the part of one.
    const int64_t rows = col == 0 ? std::max<int64_t>(1, (last - first) / w.cols) : 1;
    const int64_t n = std::min(rows * w.cols - col, last - first);
    decode_rows(w, row, row + rows, col, rows > 1 ? w.cols : col + n, out, w.cols);
    first += n;
    out += n;
  }
}

int64_t weight_bytes(WeightFormat format, DType dtype, int64_t rows, int64_t cols) {
  const FormatInfo& info = format_info(format);
  LORIKEET_CHECK((format == WeightFormat::dense || info.block_bytes > 0) && rows >= 0 && cols >= 0);
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
