#pragma once
// Quantized matrices of Hugging Face checkpoints: one reader per quant_method, listed in packed_reader.cpp.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "lora/path_pattern.h"
#include "model/files.h"

namespace lorikeet {

/// Finds the matrices of a checkpoint that are stored in several tensors, checks every size, and describes
/// each as a Weight that lies in the mapped file.
class PackedReader {
 public:
  /// `config` is the quantization_config; both must outlive the reader.
  PackedReader(HfConfig config, const SafetensorsSet& tensors)
      : config_(std::move(config)), tensors_(tensors) {}
  virtual ~PackedReader() = default;

  /// The matrix if it is stored quantized; nothing if it has to be dense. Throws Error(format) naming the
  /// tensor for anything that does not fit, Error(unsupported) for variants that are not read.
  virtual std::optional<SourceTensor> read(const ExpectedTensor& expected) = 0;
  /// What to tell about the checkpoint, once every matrix was asked for.
  virtual Quantization describe() const = 0;

  /// Names of the tensors that were used.
  const std::set<std::string>& used() const { return used_; }

 protected:
  /// A tensor of exactly this type and number of elements. Throws Error(format) naming it.
  const SafetensorsTensor& part(const std::string& name, SafetensorsType type, int64_t count);
  /// As `part`, also checking that every number is finite.
  const float* finite_part(const std::string& name, int64_t count);
  void use(const SafetensorsTensor& tensor) { used_.insert(tensor.name); }
  std::string place(const std::string& tensor) const;  ///< "file, tensor 'name'" for errors

  HfConfig config_;
  const SafetensorsSet& tensors_;

 private:
  std::set<std::string> used_;
};

/// "a.b.weight" -> "a.b"
std::string module_of(const std::string& tensor);

/// The modules that transformers leaves alone: a pattern matches from the start of a path to a dot or its
/// end, or is its suffix. Source: transformers 5.23, quantizers_utils.should_convert_module.
class SkippedModules {
 public:
  /// `key` of `config` holds a list of patterns, or is null or absent.
  SkippedModules(const HfConfig& config, const std::string& key);
  bool operator()(const std::string& module) const;
  bool given() const { return given_; }

 private:
  bool given_ = false;
  std::vector<std::string> suffixes_;
  std::vector<PathPattern> patterns_;
};

/// The reader for a config.json's quantization_config, or null if it has none. Throws Error(unsupported) for
/// other methods, naming those that are read.
std::unique_ptr<PackedReader> packed_reader(const HfConfig& config, const SafetensorsSet& tensors);

std::unique_ptr<PackedReader> bnb_reader(HfConfig config, const SafetensorsSet& tensors);
std::unique_ptr<PackedReader> gptq_reader(HfConfig config, const SafetensorsSet& tensors);
std::unique_ptr<PackedReader> awq_reader(HfConfig config, const SafetensorsSet& tensors);

}  // namespace lorikeet
