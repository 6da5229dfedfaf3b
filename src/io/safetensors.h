#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "io/mapped_file.h"
#include "io/safetensors_type.h"

namespace lorikeet {

/// One tensor of a safetensors file. `data` points into the mapped file (or into a copy, when the file places
/// it at an address its type cannot have) and stays valid as long as the SafetensorsFile, which may be moved.
struct SafetensorsTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::f32;
  std::vector<int64_t> shape;  ///< empty for a scalar
  const std::byte* data = nullptr;
  size_t bytes = 0;
  size_t file = 0;  ///< index into SafetensorsSet::files(); 0 in a single file

  int64_t count() const;
  /// "[2,3] BF16"
  std::string describe() const;
};

/// A safetensors file, checked completely when opened: after that every tensor's range is inside the file, no
/// two overlap and no byte is uncovered. Source: huggingface/safetensors, tensor.rs.
class SafetensorsFile {
 public:
  /// Throws Error(format) naming file and tensor for anything malformed, and as MappedFile::open.
  static SafetensorsFile open(const std::string& path);

  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  ///< sorted by name
  const SafetensorsTensor* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }
  /// Hands a tensor's pages back to the system; its content stays valid.
  void release(const SafetensorsTensor& tensor) const;

 private:
  MappedFile file_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;
};

/// All tensors of a model folder: model.safetensors, or the shards of model.safetensors.index.json.
class SafetensorsSet {
 public:
  /// Throws Error(format) for a missing shard, a tensor that is not in the shard the index names, a shard
  /// path that leaves the folder, or a tensor that two shards hold; Error(usage) if the folder has neither
  /// file.
  static SafetensorsSet open_folder(const std::string& folder);
  static SafetensorsSet open_file(const std::string& path);

  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  ///< sorted by name
  const SafetensorsTensor* find(std::string_view name) const;
  /// The tensors whose names begin with `prefix`.
  std::span<const SafetensorsTensor> with_prefix(std::string_view prefix) const;
  /// As find, but throws Error(format) that names the folder and the tensor.
  const SafetensorsTensor& at(std::string_view name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }
  const std::string& path() const { return path_; }  ///< the folder, or the file
  const std::string& file_of(const SafetensorsTensor& t) const { return files_[t.file].path(); }
  void release(const SafetensorsTensor& tensor) const { files_[tensor.file].release(tensor); }
  bool unchanged() const;

 private:
  std::string path_;
  std::vector<SafetensorsFile> files_;
  std::vector<SafetensorsTensor> tensors_;
};

/// A tensor of at most two dimensions and a float type as a matrix view ([C] is [1,C], a scalar [1,1]).
/// Throws Error(unsupported) naming `file` and the tensor for another type or rank.
TensorView float_view(const SafetensorsTensor& tensor, const std::string& file);

}  // namespace lorikeet
