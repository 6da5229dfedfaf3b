#include "backend/cpu/right_side.h"

#include <algorithm>
#include <bit>

#include "quant/format.h"

namespace lorikeet::cpu {

namespace {

constexpr int64_t kDecodeColumns = 256;  // of 16 rows at a time: 16 KiB, within L1 beside the panel's lines

bool is_power_of_two(int64_t x) { return x > 0 && std::has_single_bit(static_cast<uint64_t>(x)); }
int log2_of(int64_t x) { return std::countr_zero(static_cast<uint64_t>(x)); }

}  // namespace

simd::Element element_of(DType d) {
  LORIKEET_CHECK(d == DType::f32 || d == DType::bf16 || d == DType::f16);
  return static_cast<simd::Element>(d);
}

RightSide::RightSide(TensorView v, Axis axis, const simd::PanelOps& ops)
    : ops_(&ops), axis_(axis), dtype_(v.dtype), rows_(v.rows), cols_(v.cols), stride_(v.stride) {
  dense_ = static_cast<const char*>(v.data);
  access_ = v.dtype == (ops.unit == 2 ? DType::bf16 : DType::f32) ? Access::direct : Access::convert;
}

RightSide::RightSide(const Weight& w, Axis axis, const simd::PanelOps& ops)
    : ops_(&ops),
      axis_(axis),
      dtype_(w.dtype),
      rows_(w.rows),
      cols_(w.cols),
      stride_(w.cols),
      row_map_(w.row_map),
      weight_(&w) {
  if (w.format == WeightFormat::dense) {
    dense_ = static_cast<const char*>(w.data);
    access_ = w.dtype == (ops.unit == 2 ? DType::bf16 : DType::f32) ? Access::direct : Access::convert;
    return;
  }
  access_ = Access::slow;
  if (w.by_columns()) {
    std::swap(rows_, cols_);
    axis_ = axis == Axis::columns ? Axis::rows : Axis::columns;
  }
  choose_decoder(w);
}

void RightSide::choose_decoder(const Weight& w) {
  codes_.data = static_cast<const uint8_t*>(w.data);
  codes_.cols = cols_;
  if (w.by_columns()) {
    const Grouped& g = w.grouped;
    codes_.grouped = {
        w.format == WeightFormat::awq, g.bits,     g.zero_offset, g.group_size,
        (w.rows * g.bits + 31) / 32,   g.group_of, g.zeros,       static_cast<const char*>(g.scales),
        element_of(g.scale_type)};
    if (cols_ % 32 == 0 && ops_->decode_grouped) access_ = Access::grouped;
    return;
  }
  if (w.format == WeightFormat::bnb4) {
    // A block that ends inside a group of 64, or a nested block of odd size, takes the slow path.
    const bool aligned = w.cols % 64 == 0 && w.blocksize % 64 == 0 && is_power_of_two(w.blocksize);
    if (!aligned || (!w.absmax && !is_power_of_two(w.nested_blocksize))) return;
    codes_.block_shift = log2_of(w.blocksize);
    codes_.code = w.code;
    codes_.absmax = w.absmax;
    codes_.absmax_codes = w.absmax_codes;
    codes_.nested_absmax = w.nested_absmax;
    codes_.nested_code = w.nested_code;
    codes_.nested_offset = w.nested_offset;
    codes_.nested_shift = w.absmax ? 0 : log2_of(w.nested_blocksize);
  } else {
    const FormatInfo& info = format_info(w.format);
    codes_.row_bytes = w.cols / info.block_elements * info.block_bytes;
  }
  decode_ = ops_->decode[static_cast<int>(w.format)];
  if (!decode_) return;
  access_ = Access::decode;
  code_ops_ = &ops_->codes[static_cast<int>(w.format)];
}

/// The columns [first, first + n) of a row as elements of the product's type: in place, or decoded into
/// scratch.
const char* RightSide::elements(int64_t row, int64_t first, int64_t n, char* scratch) const {
  switch (access_) {
    case Access::direct:
      return dense_row(row, first);
    case Access::convert:
      ops_->convert(element_of(dtype_), dense_row(row, first), n, scratch);
      break;
    case Access::decode:
      decode_(codes_, stored(row), first, n, scratch);
      break;
    case Access::grouped:
      ops_->decode_grouped(codes_, row, 1, first, n, scratch, 0);
      break;
    case Access::slow: {
      float values[kDecodeColumns];
      format_info(weight_->format).decode(*weight_, stored(row), first, first + n, values);
      ops_->convert(simd::Element::f32, reinterpret_cast<const char*>(values), n, scratch);
    }
  }
  return scratch;
}

/// The columns [first, first + width) of n rows; those that are decoded go to rows of `stride` elements in
/// scratch.
void RightSide::elements_of_rows(int64_t row0, int n, int64_t first, int64_t width, int64_t stride,
                                 char* scratch, const char** rows) const {
  const int64_t bytes = stride * (4 / ops_->unit);
  if (access_ == Access::grouped) {  // scales and zeros are shared by the rows of a group
    ops_->decode_grouped(codes_, row0, n, first, width, scratch, bytes);
    for (int i = 0; i < n; ++i) rows[i] = scratch + i * bytes;
    return;
  }
  for (int i = 0; i < n; ++i) rows[i] = elements(row0 + i, first, width, scratch + i * bytes);
}

const char* RightSide::decoded_row(int64_t row, char* scratch) const {
  LORIKEET_CHECK(!weight_ || !weight_->by_columns());
  if (access_ == Access::direct) return dense_row(row, 0);
  for (int64_t k = 0; k < cols_; k += kDecodeColumns)
    elements(row, k, std::min(kDecodeColumns, cols_ - k), scratch + k * (4 / ops_->unit));
  return scratch;
}

void RightSide::pack_columns(int64_t first, int outputs, int64_t first_sum, int64_t sums, int vectors,
                             char* panel, char* scratch) const {
  const int64_t unit_row = 64 * vectors;
  const int64_t step = access_ == Access::direct ? sums : kDecodeColumns;
  for (int v = 0; v < vectors; ++v) {
    const int n = std::clamp(outputs - 16 * v, 0, 16);
    const int64_t row0 = first + 16 * v;
    char* out = panel + 64 * v;
    if (code_ops_ && code_ops_->pack_columns) {
      int32_t rows[16];
      for (int i = 0; i < n; ++i) rows[i] = static_cast<int32_t>(stored(row0 + i));
      code_ops_->pack_columns(codes_, rows, n, first_sum, sums, out, unit_row);
      continue;
    }
    for (int64_t k = 0; k < sums; k += step) {
      const int64_t width = std::min(step, sums - k);
      const char* rows[16];
      elements_of_rows(row0, n, first_sum + k, width, kDecodeColumns, scratch, rows);
      ops_->pack_columns(rows, n, width, out + k / ops_->unit * unit_row, unit_row);
    }
  }
}

void RightSide::multiply_lone(int64_t first, int n, const simd::OrderedRow& row, float* c, bool add,
                              int64_t ahead) const {
  int32_t at[16];
  for (int i = 0; i < n; ++i) at[i] = static_cast<int32_t>(stored(first + i));
  const int64_t bytes = ahead_bytes(ahead);
  if (bytes == 0) prefetch(first + ahead, n, 0, cols_);
  code_ops_->lone(codes_, at, n, cols_, row, c, add, bytes);
}

/// What lies `ahead` rows further on, in bytes; 0 where the order of rows says nothing about that.
int64_t RightSide::ahead_bytes(int64_t ahead) const {
  return row_map_ ? 0 : ahead * (stored_bytes(1, 0, cols_).first - stored_bytes(0, 0, cols_).first);
}

void RightSide::multiply_few(int64_t first, int n, const char* a, int64_t a_stride, int rows, float* c,
                             bool add, int64_t ahead, char* scratch) const {
  const bool in_place = access_ == Access::direct || (code_ops_ && code_ops_->few);
  const int64_t bytes = in_place ? ahead_bytes(ahead) : 0;
  if (bytes == 0) prefetch(first + ahead, n, 0, cols_);
  if (code_ops_ && code_ops_->few) {
    int32_t at[16];
    for (int i = 0; i < n; ++i) at[i] = static_cast<int32_t>(stored(first + i));
    code_ops_->few(codes_, at, n, cols_, a, a_stride, rows, c, add, bytes);
    return;
  }
  const int64_t step = access_ == Access::direct ? cols_ : kDecodeColumns;
  for (int64_t k = 0; k < cols_; k += step) {
    const int64_t width = std::min(step, cols_ - k);
    const char* at[16];
    for (int i = 0; i < n; ++i)
      at[i] = elements(first + i, k, width, scratch + i * kDecodeColumns * (4 / ops_->unit));
    ops_->few_dense(at, n, width, a + k * (4 / ops_->unit), a_stride, rows, c, add || k > 0, bytes);
  }
}

void RightSide::pack_rows(int64_t first, int outputs, int64_t first_sum, int64_t sums, int vectors,
                          char* panel, char* scratch) const {
  // A panel is a narrow strip of every row: asked for as a whole it would leave the L2 no room for the panel.
  constexpr int64_t kStep = 32, kAhead = 2 * kStep;
  const int64_t unit_row = 64 * vectors;
  for (int64_t k = 0; k < sums; k += kStep) {
    const int n = static_cast<int>(std::min(kStep, sums - k));
    char* out = panel + k / ops_->unit * unit_row;
    prefetch(first, outputs, first_sum + k + kAhead, kStep);
    const char* rows[kStep];
    elements_of_rows(first_sum + k, n, first, outputs, simd::kPanelColumns, scratch, rows);
    ops_->pack_rows(rows, n, outputs, out, unit_row);
  }
}

/// Where the columns [col, col + n) of a row lie; for block formats about there.
RightSide::Bytes RightSide::stored_bytes(int64_t row, int64_t col, int64_t n) const {
  if (dense_) {
    const auto size = static_cast<int64_t>(size_of(dtype_));
    return {dense_row(row, col), n * size};
  }
  const char* data = static_cast<const char*>(weight_->data);
  if (weight_->format == WeightFormat::bnb4) return {data + (stored(row) * cols_ + col) / 2, n / 2};
  if (weight_->format == WeightFormat::gptq) {  // several rows share their words: the first one asks for them
    const int64_t bit = row * weight_->grouped.bits;
    return {data + (bit / 32 * cols_ + col) * 4, bit % 32 < weight_->grouped.bits ? n * 4 : 0};
  }
  if (weight_->format == WeightFormat::awq) return {data + (row * cols_ + col) / 2, n / 2};
  const FormatInfo& info = format_info(weight_->format);
  const int64_t row_bytes = cols_ / info.block_elements * info.block_bytes;
  return {data + stored(row) * row_bytes + col / info.block_elements * info.block_bytes,
          n * info.block_bytes / info.block_elements};
}

/// Asks the cache for outputs and sums. Rows lie far apart or are short, which hardware prefetchers miss.
void RightSide::prefetch(int64_t first, int64_t outputs, int64_t first_sum, int64_t sums) const {
  const bool by_columns = axis_ == Axis::columns;
  const int64_t row0 = by_columns ? first : first_sum,
                rows = std::min(by_columns ? outputs : sums, rows_ - row0);
  const int64_t col0 = by_columns ? first_sum : first,
                cols = std::min(by_columns ? sums : outputs, cols_ - col0);
  if (rows <= 0 || cols <= 0) return;
  const auto fetch = [](const char* begin, const char* end) {
    for (; begin < end; begin += 64) __builtin_prefetch(begin, 0, 2);
  };
  if (cols == cols_ && !row_map_) {  // whole rows lie end to end
    const Bytes last = stored_bytes(row0 + rows - 1, 0, cols);
    return fetch(stored_bytes(row0, 0, cols).first, last.first + last.size);
  }
  if (!row_map_ && !(weight_ && weight_->by_columns())) {  // at equal distances
    const Bytes b = stored_bytes(row0, col0, cols);
    const int64_t stride = stored_bytes(row0 + 1, col0, cols).first - b.first;
    for (int64_t r = 0; r < rows; ++r) fetch(b.first + r * stride, b.first + r * stride + b.size);
    return;
  }
  for (int64_t r = row0; r < row0 + rows; ++r) {
    const Bytes b = stored_bytes(r, col0, cols);
    fetch(b.first, b.first + b.size);
  }
}

void RightSide::pack(int64_t first, int outputs, int64_t first_sum, int64_t sums, int vectors, char* panel,
                     char* scratch) const {
  if (axis_ == Axis::columns)
    pack_columns(first, outputs, first_sum, sums, vectors, panel, scratch);
  else
    pack_rows(first, outputs, first_sum, sums, vectors, panel, scratch);
}

}  // namespace lorikeet::cpu
