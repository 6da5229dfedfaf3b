#pragma once
// Everything that learns: LoRA factors and biases, DoRA magnitudes, single rows of embeddings, and with full
// fine-tuning (or modules_to_save) base tensors.
//
// The store owns, per parameter: the f32 master (value), the gradient and, where the kernels need another
// type or scale, the compute copy; what an optimizer keeps beside them is its own. Parameters are matrices as
// the kernels want them (A matrices that share X stacked, ranks zero-padded to 16); the named tensors on top
// are what PEFT and Hugging Face files know, and what optimizers update. Padding is zero and stays zero.
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "core/buffer.h"
#include "core/tensor.h"
#include "quant/weight.h"

namespace lorikeet {

enum class ParameterKind : uint8_t {
  lora_a,
  lora_b,
  lora_bias,       ///< of B
  lora_magnitude,  ///< DoRA
  embedding_a,     ///< A of an embedding, held as A^T [V,R]
  embedding_b,
  token_rows,  ///< rows of a frozen matrix
  base
};

struct Parameter {
  std::string name;  ///< for messages
  ParameterKind kind = ParameterKind::base;
  TensorView value;    ///< stat type, or the compute type itself (see hold_base_in_compute_type)
  TensorView grad;     ///< stat type
  TensorView start;    ///< value that the base lacks at the start (keep_start), else empty
  TensorView compute;  ///< compute type = compute_scale * value + frozen; may be `value` itself
  double compute_scale = 1;
  TensorView frozen;       ///< of a bias: the base's, or empty
  double rate_factor = 1;  ///< learning rate of this parameter over that of the step
  bool compute_in_f32 = false;
};

/// A tensor as files name it: a rectangle of a parameter.
struct NamedTensor {
  std::string name;  ///< e.g. "model.layers.0.self_attn.q_proj.lora_A.weight", or a base tensor's name
  size_t parameter = 0;
  int64_t row = 0, rows = 0, col = 0, cols = 0;
  std::vector<int64_t> shape;  ///< as in the file: {rows, cols}, or {cols} for vectors
  bool transposed = false;     ///< the file holds the rectangle's transpose: shape is {cols, rows}
};

/// Rows of a frozen matrix that learn: refreshed in the matrix itself.
struct TokenRows {
  size_t parameter = 0;  ///< [ids,C]
  TensorView matrix;     ///< writable [V,C]; without memory where only sizes are known
  std::vector<int32_t> ids;
};

/// One module with DoRA: its output is scaled by magnitude / |W + s B A|, output by output.
struct DoraModule {
  size_t magnitude = 0, a = 0, b = 0;  ///< parameters; a is stacked
  int64_t rank_at = 0;                 ///< first row of a that belongs to this module
  Weight w;                            ///< frozen
  TensorView scale, inverse_norm;      ///< [1,out] stat type, refreshed with the compute copies
};

/// First phase: declare parameters; allocate() then makes the memory (or, dry, only its size).
class TrainableStore {
 public:
  /// `compute` decides the type of the compute copies; values and gradients have stat_dtype(compute).
  explicit TrainableStore(DType compute) : compute_(compute) {}

  /// Base matrices declared from here on have no f32 master: their value is what the kernels read, and an
  /// optimizer's update is rounded into it.
  void hold_base_in_compute_type() { base_in_compute_type_ = true; }

  /// `compute_in_f32`: the kernels read the master itself (norm weights and biases, which every kernel takes
  /// as f32).
  size_t declare(std::string name, ParameterKind kind, Shape padded, double compute_scale,
                 bool compute_in_f32 = false);
  void declare_tensor(NamedTensor tensor) { tensors_.push_back(std::move(tensor)); }
  /// The weight's memory must outlive the store. Returns a number for dora().
  size_t declare_dora(DoraModule module);
  /// The matrix must outlive the store.
  void declare_rows(TokenRows rows) { token_rows_.push_back(std::move(rows)); }
  /// For adapters that begin with a part of the base: room for the first values of A and B, which files count
  /// as taken away (peft/adapter_files.h). Before allocate().
  void keep_start() { keeps_start_ = true; }
  bool keeps_start() const { return keeps_start_; }
  void remember_start();

  /// Throws Error(resource). Without `with_gradients` only values and copies exist.
  void allocate(bool with_gradients, bool dry);

  DType compute_dtype() const { return compute_; }
  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  const DoraModule& dora(size_t number) const { return dora_[number]; }
  const std::deque<TokenRows>& token_rows() const { return token_rows_; }
  /// True if every parameter is a tensor of the base: full fine-tuning.
  bool only_base() const;

  int64_t trainable_count() const;  ///< elements of the named tensors (padding not counted)
  size_t value_bytes() const { return memory_.size(); }  ///< masters, gradients and what kernels read

  /// The named rectangle of value or gradient.
  TensorView value_of(const NamedTensor& t) const;
  TensorView grad_of(const NamedTensor& t) const;
  TensorView start_of(const NamedTensor& t) const;  ///< empty if it is not kept
  const NamedTensor* find(std::string_view name) const;
  /// f(value or gradient) element by element in the order of files.
  template <class F>
  static void for_each_in_file_order(const NamedTensor& t, const TensorView& v, const F& f) {
    const int64_t rows = t.transposed ? v.cols : v.rows, cols = t.transposed ? v.rows : v.cols;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = 0; k < cols; ++k) f(t.transposed ? v.row<float>(k)[i] : v.row<float>(i)[k]);
  }

  /// Refreshes the compute copies, the rows of frozen matrices, and DoRA's scales, after values changed.
  void update_compute(const Stream& stream);
  /// Sets DoRA's magnitudes to the norms of W + s B A, so that the adapters start without effect.
  void start_magnitudes(const Stream& stream);
  void zero_grad(const Stream& stream);

 private:
  DType compute_;
  std::deque<Parameter> parameters_;  // a deque: views and pointers to elements stay valid
  std::vector<NamedTensor> tensors_;
  std::vector<DoraModule> dora_;
  std::deque<TokenRows> token_rows_;
  Buffer memory_;
  bool keeps_start_ = false;
  bool base_in_compute_type_ = false;
};

}  // namespace lorikeet
