#include "lora/trainable_store.h"

#include <algorithm>
#include <cstring>

#include "backend/args.h"
#include "backend/ref/common.h"

namespace lorikeet {

namespace {
constexpr size_t kAlignment = 64;
size_t aligned_bytes(Shape s, DType d) {
  return (static_cast<size_t>(s.count()) * size_of(d) + kAlignment - 1) / kAlignment * kAlignment;
}
/// The value can serve the kernels itself.
bool shares_value(const Parameter& p, DType compute) {
  if (p.kind == ParameterKind::token_rows) return true;  // kernels read the matrix
  return (p.value.dtype == compute || p.compute_in_f32) && p.compute_scale == 1 &&
         p.kind != ParameterKind::lora_bias;
}
DType copy_dtype(const Parameter& p, DType compute) {
  return p.compute_in_f32 ? stat_dtype(compute) : compute;
}
bool is_factor(const Parameter& p) {
  return p.kind == ParameterKind::lora_a || p.kind == ParameterKind::lora_b;
}
/// Hands out consecutive aligned pieces of a buffer.
class Cursor {
 public:
  explicit Cursor(const Buffer& b) : buffer_(b) {}
  TensorView take(Shape s, DType d) {
    const TensorView v(buffer_.at(offset_), s, d);
    offset_ += aligned_bytes(s, d);
    return v;
  }

 private:
  const Buffer& buffer_;
  size_t offset_ = 0;
};
}  // namespace

size_t TrainableStore::declare(std::string name, ParameterKind kind, Shape padded, double compute_scale,
                               bool compute_in_f32) {
  Parameter& p = parameters_.emplace_back();
  p.name = std::move(name);
  p.kind = kind;
  const bool held = base_in_compute_type_ && kind == ParameterKind::base && !compute_in_f32;
  p.value = TensorView(nullptr, padded, held ? compute_ : stat_dtype(compute_));
  p.compute_scale = compute_scale;
  p.compute_in_f32 = compute_in_f32;
  return parameters_.size() - 1;
}

size_t TrainableStore::declare_dora(DoraModule module) {
  dora_.push_back(module);
  return dora_.size() - 1;
}

void TrainableStore::allocate(bool with_gradients, bool dry) {
  const DType stat = stat_dtype(compute_);
  size_t bytes = 0;
  for (const Parameter& p : parameters_) {
    const Shape s = p.value.shape();
    bytes += aligned_bytes(s, p.value.dtype);
    if (with_gradients) bytes += aligned_bytes(s, stat);
    if (!shares_value(p, compute_)) bytes += aligned_bytes(s, copy_dtype(p, compute_));
    if (keeps_start_ && is_factor(p)) bytes += aligned_bytes(s, stat);
  }
  for (const DoraModule& d : dora_) bytes += 2 * aligned_bytes({1, d.w.rows}, stat);
  memory_ = Buffer(bytes, "adapter values and gradients", dry);
  Cursor values(memory_);
  for (Parameter& p : parameters_) {
    const Shape s = p.value.shape();
    p.value = values.take(s, p.value.dtype);
    if (with_gradients) p.grad = values.take(s, stat);
    p.compute = shares_value(p, compute_) ? p.value : values.take(s, copy_dtype(p, compute_));
    if (keeps_start_ && is_factor(p)) p.start = values.take(s, stat);
  }
  for (DoraModule& d : dora_) {
    d.scale = values.take({1, d.w.rows}, stat);
    d.inverse_norm = values.take({1, d.w.rows}, stat);
  }
}

bool TrainableStore::only_base() const {
  return std::all_of(parameters_.begin(), parameters_.end(),
                     [](const Parameter& p) { return p.kind == ParameterKind::base; });
}

int64_t TrainableStore::trainable_count() const {
  int64_t n = 0;
  for (const NamedTensor& t : tensors_) n += t.rows * t.cols;
  return n;
}

TensorView TrainableStore::value_of(const NamedTensor& t) const {
  return parameters_[t.parameter].value.row_range(t.row, t.rows).columns(t.col, t.cols);
}

TensorView TrainableStore::grad_of(const NamedTensor& t) const {
  return parameters_[t.parameter].grad.row_range(t.row, t.rows).columns(t.col, t.cols);
}

TensorView TrainableStore::start_of(const NamedTensor& t) const {
  const TensorView start = parameters_[t.parameter].start;
  return start ? start.row_range(t.row, t.rows).columns(t.col, t.cols) : TensorView{};
}

void TrainableStore::remember_start() {
  for (const Parameter& p : parameters_)
    if (p.start) std::memcpy(p.start.data, p.value.data, p.value.size_bytes());
}

const NamedTensor* TrainableStore::find(std::string_view name) const {
  for (const NamedTensor& t : tensors_)
    if (t.name == name) return &t;
  return nullptr;
}

void TrainableStore::update_compute(const Stream& stream) {
  for (const Parameter& p : parameters_) {
    if (!shares_value(p, compute_)) dispatch(stream, CastArgs{p.compute, p.value, p.compute_scale});
    for (int64_t k = 0; p.frozen.data && k < p.frozen.cols; ++k)
      ref::write(p.compute, 0, k, ref::read<Complex>(p.compute, 0, k) + ref::read<Complex>(p.frozen, 0, k));
  }
  for (const TokenRows& t : token_rows_)
    for (size_t i = 0; t.matrix.data && i < t.ids.size(); ++i)
      dispatch(stream, CastArgs{t.matrix.row_range(t.ids[i], 1),
                                parameters_[t.parameter].value.row_range(static_cast<int64_t>(i), 1), 1});
  for (const DoraModule& d : dora_) {
    const TensorView b = parameters_[d.b].compute;
    dispatch(stream, DoraScaleArgs{d.inverse_norm, d.scale, parameters_[d.magnitude].value, &d.w,
                                   parameters_[d.a].compute.row_range(d.rank_at, b.cols), b});
  }
}

void TrainableStore::start_magnitudes(const Stream& stream) {
  update_compute(stream);  // for the norms
  for (const DoraModule& d : dora_)
    for (int64_t o = 0; o < d.w.rows; ++o) {
      const Complex inverse = ref::read<Complex>(d.inverse_norm, 0, o);
      ref::write(parameters_[d.magnitude].value, 0, o, inverse == 0.0 ? inverse : 1.0 / inverse);
    }
  update_compute(stream);
}

void TrainableStore::zero_grad(const Stream& stream) {
  for (const Parameter& p : parameters_)
    if (p.grad) dispatch(stream, ZeroArgs{p.grad});
}

}  // namespace lorikeet
