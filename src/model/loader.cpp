#include "model/loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/bnb4_matrix.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

/// Elements that one work item converts: large enough to hide the hand-off, small enough to
/// balance.
constexpr int64_t kItemElements = int64_t{1} << 18;
[[noreturn]] void refuse_value(const SourceTensor& t, float value, int64_t row, int64_t col) {
  throw Error(ErrorKind::format,
              fmt::format("tensor \"{}\" holds {} at row {}, column {}", t.expected.name, value, row, col),
              t.file, "the checkpoint is broken; download it again");
}

/// The scales of a quantized weight that lie beside its codes; empty for GGUF's blocks, which hold their own.
TensorView scales_of(const Weight& w) {
  const auto view = [](const void* data, int64_t rows, int64_t cols, DType type) {
    return TensorView(const_cast<void*>(data), {rows, cols}, type);
  };
  if (w.format == WeightFormat::bnb4) {
    const int64_t blocks = bnb4_blocks(w.rows * w.cols, w.blocksize);
    return w.absmax ? view(w.absmax, 1, blocks, DType::f32)
                    : view(w.nested_absmax, 1, bnb4_blocks(blocks, w.nested_blocksize), DType::f32);
  }
  if (!w.by_columns()) return {};
  const int64_t groups = (w.cols + w.grouped.group_size - 1) / w.grouped.group_size;
  return view(w.grouped.scales, groups, w.rows, w.grouped.scale_type);
}

/// Scales of a quantized weight are read by every product: one that is not finite would spoil the whole run.
void check_scales(const SourceTensor& t) {
  const TensorView scales = scales_of(t.stored);
  std::vector<float> row(static_cast<size_t>(scales.cols));
  for (int64_t i = 0; i < scales.rows; ++i) {
    decode_rows(Weight::dense(scales), i, i + 1, 0, scales.cols, row.data(), scales.cols);
    for (int64_t k = 0; k < scales.cols; ++k)
      if (!std::isfinite(row[static_cast<size_t>(k)]))
        throw Error(ErrorKind::format,
                    fmt::format("scale [{},{}] of the quantized tensor \"{}\" is {}", i, k, t.expected.name,
                                row[static_cast<size_t>(k)]),
                    t.file, "the checkpoint is broken; download it again");
  }
}

/// Rows [first, last) of `from`, converted to `out` [rows,cols].
void convert_rows(const SourceTensor& t, const Weight& from, int64_t first, int64_t last, TensorView out) {
  const auto cols = static_cast<size_t>(from.cols);
  std::vector<float> row(cols);
  for (int64_t i = first; i < last; ++i) {
    decode_rows(from, i, i + 1, 0, from.cols, row.data(), from.cols);
    for (size_t k = 0; k < cols; ++k)
      if (!std::isfinite(row[k])) refuse_value(t, row[k], i, static_cast<int64_t>(k));
    if (out.dtype == DType::bf16)
      std::transform(row.begin(), row.end(), out.row<Bf16>(i), to_bf16);
    else
      std::copy(row.begin(), row.end(), out.row<float>(i));
  }
}

/// Elements stored column by column, into rows.
template <class T>
void transpose_elements(const std::byte* from, TensorView out) {
  for (int64_t i = 0; i < out.rows; ++i)
    for (int64_t k = 0; k < out.cols; ++k)
      std::memcpy(static_cast<std::byte*>(out.data) + static_cast<size_t>(i * out.cols + k) * sizeof(T),
                  from + static_cast<size_t>(k * out.rows + i) * sizeof(T), sizeof(T));
}
void transpose(const Weight& from, TensorView out) {
  const auto* elements = static_cast<const std::byte*>(from.data);
  if (size_of(from.dtype) == sizeof(float))
    transpose_elements<float>(elements, out);
  else
    transpose_elements<Bf16>(elements, out);
}

}  // namespace

Weight stored_weight(const SourceTensor& t, const ModelSpec& spec, std::vector<int32_t>& map) {
  Weight w = t.stored;
  if (t.row_order == RowOrder::as_is) return w;
  if (map.empty()) map = stored_rows(t.row_order, spec);
  w.row_map = map.data();
  return w;
}

WeightStore::WeightStore(const ModelFiles& files, const LoadOptions& options)
    : files_(files), options_(options), threads_(options.threads) {
  LORIKEET_CHECK(options.base_format != BaseFormat::automatic);
  LORIKEET_CHECK(options.compute == DType::f32 || options.compute == DType::bf16);
  if (!threads_) {
    own_threads_ = std::make_unique<ThreadPool>(1);
    threads_ = own_threads_.get();
  }
}

Weight WeightStore::matrix(const std::string& name, int64_t rows, int64_t cols) {
  if (const auto it = matrices_.find(name); it != matrices_.end()) return it->second;
  const SourceTensor& t = source(name, rows, cols);
  check_unchanged();
  const bool dense = t.stored.format == WeightFormat::dense;
  const bool changes = options_.writable.contains(name);
  const bool as_used = t.row_order == RowOrder::as_is && !t.stored.transposed && !changes;
  // Single rows of a table that learn are not rounded to a narrower type than the one of computation.
  const bool widened = dense && changes && t.expected.role != TensorRole::linear &&
                       options_.compute == DType::f32 && t.stored.dtype != DType::f32;
  Weight w;
  if (options_.base_format == BaseFormat::bnb_4bit && t.expected.role == TensorRole::linear)
    w = quantized(t);
  else if (dense ? as_used : options_.base_format == BaseFormat::keep && !changes)
    w = in_place(t);
  else if (dense && !widened)
    w = copied(t);
  else
    w = dequantized(t, options_.compute);
  matrices_.emplace(name, w);
  return w;
}

TensorView WeightStore::vector(const std::string& name, int64_t n) {
  if (const auto it = vectors_.find(name); it != vectors_.end()) return it->second;
  const SourceTensor& t = source(name, 1, n);
  check_unchanged();
  const Buffer& memory = own(static_cast<size_t>(n) * sizeof(float), name);
  const TensorView v(memory.data(), {1, n}, DType::f32);
  bytes_.owned += static_cast<int64_t>(v.size_bytes());
  if (!options_.dry) {
    Weight w = stored_weight(t, files_.spec(), row_maps_[RowOrder::as_is]);
    w.row_map = nullptr;  // of elements here, not of rows
    auto* out = v.as<float>();
    std::vector<float> stored(static_cast<size_t>(n));
    decode_rows(w, 0, 1, 0, n, stored.data(), n);
    const int32_t* map = row_map(t);
    for (int64_t i = 0; i < n; ++i) {
      const float x = stored[static_cast<size_t>(map ? map[i] : i)] - t.added;
      if (!std::isfinite(x)) refuse_value(t, x, 0, i);
      out[i] = options_.compute == DType::bf16 ? to_float(to_bf16(x)) : x;
    }
  }
  vectors_.emplace(name, v);
  return v;
}

const SourceTensor& WeightStore::source(const std::string& name, int64_t rows, int64_t cols) const {
  const SourceTensor& t = files_.at(name);
  if (t.expected.rows != rows || t.expected.cols != cols)
    throw Error(ErrorKind::format,
                fmt::format("tensor \"{}\" is [{},{}], [{},{}] is needed", name, t.expected.rows,
                            t.expected.cols, rows, cols),
                t.file);
  return t;
}

Buffer& WeightStore::own(size_t bytes, const std::string& name) {
  buffers_.emplace_back(bytes, name.c_str(), options_.dry);
  return buffers_.back();
}

const int32_t* WeightStore::row_map(const SourceTensor& t) {
  return stored_weight(t, files_.spec(), row_maps_[t.row_order]).row_map;
}

void WeightStore::check_unchanged() const {
  if (!options_.dry && !files_.unchanged())
    throw Error(ErrorKind::resource, "the model's files were changed while they were being read",
                files_.path(), "start again once nobody writes to them");
}

void WeightStore::read_ahead(const SourceTensor& t) {
  const auto& all = files_.tensors();
  const SourceTensor* next = &t + 1;
  // Not from here: with a full queue of the device, asking takes as long as reading.
  if (next < all.data() + all.size()) reader_.run([this, next] { files_.prefetch(*next); });
}

Weight WeightStore::in_place(const SourceTensor& t) {
  Weight w = stored_weight(t, files_.spec(), row_maps_[t.row_order]);
  bytes_.mapped += static_cast<int64_t>(t.bytes());
  if (options_.dry)
    w.data = nullptr;
  else
    check_scales(t);
  return w;
}

TensorView WeightStore::writable(const std::string& name) const {
  const TensorView v = matrices_.at(name).dense_view();
  if (!v.data) return v;
  LORIKEET_CHECK(options_.writable.contains(name));
  LORIKEET_CHECK(v.data != files_.at(name).stored.data);
  return v;
}

void WeightStore::release(const std::string& name) const {
  if (options_.dry) return;
  files_.release(files_.at(name));
  if (!options_.trains_all) return;
  const void* data = matrices_.at(name).data;
  for (const Buffer& own : buffers_)
    if (own.data() == data) own.release(0, own.size());
}

/// A dense matrix in Hugging Face order, in memory of its own.
Weight WeightStore::copied(const SourceTensor& t) {
  const Weight from = stored_weight(t, files_.spec(), row_maps_[t.row_order]);
  const TensorView out(own(t.bytes(), t.expected.name).data(), {from.rows, from.cols}, from.dtype);
  bytes_.owned += static_cast<int64_t>(t.bytes());
  if (!options_.dry) {
    read_ahead(t);
    if (from.transposed)
      transpose(from, out);
    else if (t.row_order == RowOrder::as_is)
      std::memcpy(out.data, from.data, t.bytes());
    else
      gather_rows(from.data, out.data, from.cols * static_cast<int64_t>(size_of(from.dtype)),
                  row_maps_[t.row_order]);
    files_.release(t);
  }
  return Weight::dense(out);
}

Weight WeightStore::dequantized(const SourceTensor& t, DType type) {
  const Weight from = stored_weight(t, files_.spec(), row_maps_[t.row_order]);
  const Shape shape{t.expected.rows, t.expected.cols};
  const auto bytes = static_cast<size_t>(shape.count()) * size_of(type);
  const TensorView out(own(bytes, t.expected.name).data(), shape, type);
  bytes_.owned += static_cast<int64_t>(bytes);
  if (!options_.dry) {
    read_ahead(t);
    const int64_t step = std::max<int64_t>(1, kItemElements / shape.cols);
    threads_->for_each((shape.rows + step - 1) / step, [&](int64_t item, int) {
      convert_rows(t, from, item * step, std::min(shape.rows, (item + 1) * step), out);
    });
    files_.release(t);
  }
  return Weight::dense(out);
}

Weight WeightStore::quantized(const SourceTensor& t) {
  const Weight from = stored_weight(t, files_.spec(), row_maps_[t.row_order]);
  const size_t total = bnb4_layout(from.rows * from.cols, options_.bnb).total;
  const Buffer& memory = own(total, t.expected.name);
  bytes_.owned += static_cast<int64_t>(total);
  if (options_.dry) return bnb4_weight(from.rows, from.cols, options_.bnb, nullptr);
  read_ahead(t);
  const DType round_to = files_.is_gguf() && options_.compute == DType::bf16 ? DType::bf16 : DType::f32;
  const Weight w = quantize_bnb4(from, options_.bnb, memory.data(), t.expected.name, round_to, *threads_);
  files_.release(t);
  return w;
}

}  // namespace lorikeet
