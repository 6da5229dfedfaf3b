#pragma once
// A model as it lies on disk: a Hugging Face folder or one GGUF file, seen as Hugging Face tensors.
//
// Goals: opening takes milliseconds (weights are mapped, never read), everything later code needs is checked
// here once, and both kinds of file look the same from outside. Non-goals: holding weights in memory
// (model/loader.h), writing (export/).
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/mapped_file.h"
#include "model/arch/hf_config.h"
#include "model/model.h"
#include "model/row_order.h"
#include "quant/weight.h"
#include "text/tokenizer.h"

namespace lorikeet {

/// What a tensor is for, as far as loading cares.
enum class TensorRole : uint8_t { embedding, head, linear, router, vector };

/// A tensor that the architecture has.
struct ExpectedTensor {
  std::string name;            ///< Hugging Face name with ".weight" or ".bias"
  int64_t rows = 0, cols = 0;  ///< vectors: [1,n]
  TensorRole role = TensorRole::linear;
  bool transposed = false;  ///< a Hugging Face folder stores [cols, rows] (GPT-2's Conv1D)
  /// As the folder's file says it.
  std::vector<int64_t> shape() const {
    if (role == TensorRole::vector) return {cols};
    return transposed ? std::vector{cols, rows} : std::vector{rows, cols};
  }
};

/// Where one tensor of the model lies.
struct SourceTensor {
  ExpectedTensor expected;
  std::string stored_name;  ///< as the file calls it
  std::string file;
  Weight stored;  ///< as it lies in the file, rows in the file's order; vectors are [1,n]
  std::vector<std::span<const std::byte>> parts;  ///< all bytes of it, the elements first
  RowOrder row_order = RowOrder::as_is;
  float added = 0;  ///< what the file's writer added to every element (GGUF: 1 to Gemma's norm weights)

  size_t bytes() const;
};

/// What a checkpoint says about its quantization.
struct Quantization {
  std::string method;               ///< "bitsandbytes", "gguf"; empty: dense
  std::vector<std::string> traits;  ///< for display, e.g. "nf4", "blocks of 64"
  std::vector<std::string> notes;   ///< what may surprise: defaults of the configuration, contradictions
};

/// Every tensor of an architecture in model order, by asking build_model: there is no second list.
std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec);

/// What GGUF files call an architecture, e.g. "qwen3"; empty if none of them can be read.
std::string_view gguf_architecture(std::string_view architecture);

class ModelFiles {
 public:
  /// Opens a folder (config.json and safetensors, or a single .gguf) or a .gguf file and checks that every
  /// tensor of the architecture is there in the right shape.
  ///
  /// Throws Error(usage) if the path does not exist or holds no model, Error(format) for broken files and for
  /// missing or misshapen tensors (named, with their number), Error(unsupported) for other architectures,
  /// quantized checkpoints and tensor types.
  static ModelFiles open(const std::string& path);

  ModelFiles(ModelFiles&&) noexcept;
  ModelFiles& operator=(ModelFiles&&) noexcept;
  ~ModelFiles();

  const std::string& path() const;  ///< absolute
  std::string name() const;         ///< for display: general.name, or the last part of the path
  bool is_gguf() const;
  const HfConfig& config() const;  ///< config.json; for a GGUF file one made from its metadata
  const ModelSpec& spec() const;

  /// In model order.
  const std::vector<SourceTensor>& tensors() const;
  /// Throws Error(format) naming the model and the tensor.
  const SourceTensor& at(std::string_view name) const;
  /// Tensors of the file that the architecture does not know; they are ignored.
  const std::vector<std::string>& unexpected() const;
  /// Elements of all tensors.
  int64_t parameter_count() const;
  /// True if a linear layer is stored in a quantized format.
  bool quantized() const;
  const Quantization& quantization() const;
  /// The type that most weights have, or were quantized from; bfloat16 for GGUF's block formats, which do not
  /// say it and were nearly all made from that.
  DType stored_dtype() const;

  /// Reads the tokenizer, at each call.
  Tokenizer tokenizer() const;
  /// What generation_config.json (or the GGUF metadata) says; an object, maybe empty.
  const Json& generation_config() const;
  /// Ids that end a completion: eos_token_id of generation_config, else of config; GGUF: eos and eot.
  const std::vector<int32_t>& eos_token_ids() const;
  /// Metadata of a GGUF file for the tokenizer; internal error for a folder.
  GgufTokenizerSource gguf_tokenizer() const;

  /// Identifies the base: configuration, tensor names and sizes, and a few bytes of each tensor, as
  /// hexadecimal text.
  std::string fingerprint() const;

  /// Hands the pages of a tensor, or all pages, back to the system (they stay readable), or asks for them.
  void release(const SourceTensor& tensor) const;
  void release() const;
  void prefetch(const SourceTensor& tensor) const;
  /// False if a weight file was changed since it was opened.
  bool unchanged() const;
  size_t mapped_bytes() const;  ///< size of the weight files

  struct State;

 private:
  explicit ModelFiles(std::unique_ptr<State> state);
  /// Applies to the mapped file that `part` lies in.
  void for_range(std::span<const std::byte> part,
                 void (MappedFile::*apply)(size_t offset, size_t bytes) const) const;
  std::unique_ptr<State> state_;
};

}  // namespace lorikeet
