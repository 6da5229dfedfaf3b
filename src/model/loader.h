#pragma once
// Brings the weights of a model into the form in which they stay in memory.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/background.h"
#include "lorikeet/config.h"
#include "model/files.h"
#include "quant/bnb4_encode.h"

namespace lorikeet {

struct LoadOptions {
  BaseFormat base_format = BaseFormat::dense;  ///< not `automatic`
  Bnb4Options bnb;
  DType compute = DType::f32;      ///< f32 or bf16: the type of weights that have to be dequantized
  ThreadPool* threads = nullptr;   ///< may be null: one thread
  bool dry = false;                ///< sizes only: no weight is read
  std::set<std::string> writable;  ///< matrices that are copied, dense, so that they can be changed
  bool trains_all = false;         ///< nothing reads a matrix any more once it is released
};

/// Resident bytes of the weights handed out so far.
struct WeightBytes {
  int64_t owned = 0;   ///< allocated here
  int64_t mapped = 0;  ///< used in place in the model's file
  int64_t total() const { return owned + mapped; }
};

/// Owns the frozen weights, converted while they are loaded.
///
/// - `dense`: dense tensors are used in place in the mapped file; GGUF blocks are dequantized to the compute
/// type.
/// - `bnb_4bit`: linear layers are quantized from the file's values (GGUF: dequantized and rounded to the
/// compute type
///   first, as transformers loads them), one source tensor resident at a time; embedding and head stay dense.
/// - `keep`: GGUF blocks are used in place.
/// Dense matrices whose rows are permuted (GGUF) or that are stored by columns (GPT-2) are copied into order.
/// Norm weights and biases become f32, rounded to the compute type.
class WeightStore : public WeightSource {
 public:
  /// `files` must outlive the store.
  WeightStore(const ModelFiles& files, const LoadOptions& options);

  /// As WeightSource; also Error(format) naming tensor and element for NaN or infinity among the values that
  /// are read here (quantized, dequantized, norms), Error(resource) for lack of memory, Error(resource) if
  /// the files were changed while in use.
  Weight matrix(const std::string& name, int64_t rows, int64_t cols) override;
  TensorView vector(const std::string& name, int64_t n) override;

  /// A matrix of LoadOptions::writable that was asked for before; internal error for another one.
  TensorView writable(const std::string& name) const override;
  void release(const std::string& name) const override;

  WeightBytes bytes() const { return bytes_; }
  const LoadOptions& options() const { return options_; }
  const ModelFiles& files() const { return files_; }

 private:
  const SourceTensor& source(const std::string& name, int64_t rows, int64_t cols) const;
  Buffer& own(size_t bytes, const std::string& name);
  Weight in_place(const SourceTensor& t);
  Weight copied(const SourceTensor& t);
  Weight dequantized(const SourceTensor& t, DType type);
  Weight quantized(const SourceTensor& t);
  const int32_t* row_map(const SourceTensor& t);
  void check_unchanged() const;
  /// Asks for the tensor behind `t` in model order, so that the disk works while `t` is converted.
  void read_ahead(const SourceTensor& t);

  const ModelFiles& files_;
  LoadOptions options_;
  std::unique_ptr<ThreadPool> own_threads_;
  ThreadPool* threads_;
  std::map<std::string, Weight> matrices_;
  std::map<std::string, TensorView> vectors_;
  std::vector<Buffer> buffers_;
  std::map<RowOrder, std::vector<int32_t>> row_maps_;
  WeightBytes bytes_;
  Background reader_;
};

/// The weight as it lies in the file, for reading (row maps in `map`, which must outlive it).
Weight stored_weight(const SourceTensor& t, const ModelSpec& spec, std::vector<int32_t>& map);

}  // namespace lorikeet
