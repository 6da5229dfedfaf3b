#pragma once
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/gguf_type.h"
#include "io/mapped_file.h"

namespace lorikeet {

/// One tensor of a GGUF file.
struct GgufTensor {
  std::string name;
  GgufType type = GgufType::f32;
  std::vector<int64_t> shape;  ///< in Hugging Face order: slowest dimension first
  const std::byte* data = nullptr;
  size_t bytes = 0;  ///< 0 when the type is unknown

  int64_t count() const;
  std::string describe() const;  ///< "[576,576] Q8_0"
};

/// A GGUF file (version 1 to 3, little-endian), checked completely when opened: counts and lengths are
/// validated before anything is allocated, every tensor of a known type lies inside the file, and no two
/// overlap. A tensor of an unknown type is refused when it is asked for. Source: ggml docs/gguf.md.
class GgufFile {
 public:
  /// Throws Error(format) naming file and key or tensor for anything malformed, Error(unsupported) for
  /// another version or a big-endian file, and as MappedFile::open.
  static GgufFile open(const std::string& path);

  uint32_t version() const { return version_; }
  const std::string& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }

  bool has(std::string_view key) const { return find_value(key) != nullptr; }
  std::vector<std::string_view> keys() const;  ///< in file order
  /// The value's type by its GGUF name ("uint32", "array of string"), for messages and listings.
  std::string type_of(std::string_view key) const;

  // A missing key or a value of another type is Error(format) that names file and key.
  int64_t integer(std::string_view key) const;  ///< any integer type that fits
  double number(std::string_view key) const;    ///< float or integer
  bool boolean(std::string_view key) const;
  std::string_view string(std::string_view key) const;
  std::vector<std::string_view> strings(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;    ///< array of numbers (or booleans as 0 and 1)
  std::vector<int64_t> integers(std::string_view key) const;  ///< array of integers (or booleans)
  size_t array_size(std::string_view key) const;

  int64_t integer_or(std::string_view key, int64_t otherwise) const {
    return has(key) ? integer(key) : otherwise;
  }
  double number_or(std::string_view key, double otherwise) const {
    return has(key) ? number(key) : otherwise;
  }
  bool boolean_or(std::string_view key, bool otherwise) const { return has(key) ? boolean(key) : otherwise; }

  const std::vector<GgufTensor>& tensors() const { return tensors_; }  ///< sorted by name, all types
  /// Null if absent. Throws Error(unsupported) if the tensor's type is not known here.
  const GgufTensor* find(std::string_view name) const;
  /// As find, but absence is Error(format).
  const GgufTensor& at(std::string_view name) const;
  void release(const GgufTensor& tensor) const;

  /// A metadata value as it lies in the file.
  struct Value {
    GgufValueType type = GgufValueType::uint8;
    GgufValueType element = GgufValueType::uint8;  ///< of an array
    uint64_t count = 0;                            ///< of an array
    const std::byte* data = nullptr;               ///< first byte of the value (array: of its first element)
  };
  const Value& value(std::string_view key) const;

 private:
  const Value* find_value(std::string_view key) const;
  const Value& array(std::string_view key) const;
  [[noreturn]] void wrong_type(std::string_view key, const char* wanted) const;
  friend class GgufReader;

  MappedFile file_;
  uint32_t version_ = 0;
  std::vector<std::string_view> key_order_;
  std::map<std::string_view, Value> values_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace lorikeet
