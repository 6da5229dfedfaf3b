#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "io/pending_tensors.h"
#include "io/safetensors_type.h"

namespace lorikeet {

/// A tensor to be written.
struct SafetensorsEntry {
  std::string name;
  SafetensorsType type = SafetensorsType::f32;
  std::vector<int64_t> shape;
};

using SafetensorsMetadata = std::map<std::string, std::string>;

/// Metadata that PEFT and transformers write and expect.
inline const SafetensorsMetadata kPytorchMetadata = {{"format", "pt"}};

/// Streams a safetensors file: all tensors are declared first, then their bytes follow in any order and in
/// pieces, so that a model never lies in memory. Same entries and bytes give the same file: tensors are
/// ordered by type (widest first), then name; the header is padded with spaces to 8 bytes. Appears at
/// commit() only (see AtomicFile).
class SafetensorsWriter {
 public:
  /// Throws Error(internal) for a duplicate name or a negative dimension: entries come from the program.
  SafetensorsWriter(const std::string& path, std::vector<SafetensorsEntry> entries,
                    const SafetensorsMetadata& metadata = kPytorchMetadata);

  /// The next bytes of tensor `name`. More bytes than declared are an internal error.
  void write(const std::string& name, std::span<const std::byte> bytes);
  template <class T>
  void write(const std::string& name, std::span<const T> values) {
    write(name, std::as_bytes(values));
  }
  /// Throws Error(internal) if a tensor is incomplete.
  void commit() { pending_.commit(file_); }

  /// In file order.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  std::vector<SafetensorsEntry> entries_;
  PendingTensors pending_;
  uint64_t file_bytes_ = 0;
  AtomicFile file_;
};

/// Writes <folder>/model.safetensors, or, where the tensors exceed `max_shard_bytes`,
/// model-0000i-of-0000n.safetensors with model.safetensors.index.json. Tensors are dealt to shards in the
/// given order, as transformers does. Put it into an AtomicFolder to make the whole atomic.
class ShardedSafetensorsWriter {
 public:
  ShardedSafetensorsWriter(std::string folder, const std::vector<SafetensorsEntry>& entries,
                           uint64_t max_shard_bytes = uint64_t{5} * 1000 * 1000 * 1000,
                           const SafetensorsMetadata& metadata = kPytorchMetadata);
  void write(const std::string& name, std::span<const std::byte> bytes);
  template <class T>
  void write(const std::string& name, std::span<const T> values) {
    write(name, std::as_bytes(values));
  }
  void commit();
  size_t shards() const { return shards_.size(); }

 private:
  std::string folder_;
  std::vector<SafetensorsWriter> shards_;
  std::vector<std::string> shard_names_;
  std::map<std::string, size_t> shard_of_;
  uint64_t total_bytes_ = 0;
};

/// Bytes of a declared tensor, overflow-checked (Error(internal)).
uint64_t bytes_of(const SafetensorsEntry& entry);

}  // namespace lorikeet
