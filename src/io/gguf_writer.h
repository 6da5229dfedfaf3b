#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/atomic_file.h"
#include "io/gguf.h"
#include "io/pending_tensors.h"

namespace lorikeet {

/// Streams a GGUF version 3 file: metadata and tensors are declared first, begin() writes the header, then
/// the tensors' bytes follow in any order and in pieces. Appears at commit() only (see AtomicFile).
class GgufWriter {
 public:
  explicit GgufWriter(const std::string& path, uint32_t alignment = 32);

  void add_uint32(std::string_view key, uint32_t value);
  void add_int32(std::string_view key, int32_t value);
  void add_uint64(std::string_view key, uint64_t value);
  void add_float32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::span<const std::string> values);
  void add_float32s(std::string_view key, std::span<const float> values);
  void add_int32s(std::string_view key, std::span<const int32_t> values);
  /// The value that another file has for the key. Throws Error(unsupported) for an array of arrays.
  void copy(const GgufFile& from, std::string_view key);

  /// `shape` in Hugging Face order. The last dimension must be a multiple of the type's block (internal
  /// error).
  void add_tensor(std::string_view name, GgufType type, std::vector<int64_t> shape);
  void begin();
  void write(const std::string& name, std::span<const std::byte> bytes);
  template <class T>
  void write(const std::string& name, std::span<const T> values) {
    write(name, std::as_bytes(values));
  }
  /// Where the file can be read before commit(): with its metadata after begin(), with its data after all of
  /// it was written.
  const std::string& written_path() const { return file_.written_path(); }
  /// Throws Error(internal) if a tensor is incomplete.
  void commit() { pending_.commit(file_); }

 private:
  void key(std::string_view key, GgufValueType type);

  AtomicFile file_;
  uint32_t alignment_;
  std::string metadata_, infos_;
  uint64_t keys_ = 0, tensors_ = 0, data_bytes_ = 0;
  bool begun_ = false;
  PendingTensors pending_;
};

}  // namespace lorikeet
