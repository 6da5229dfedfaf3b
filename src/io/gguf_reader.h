#pragma once
// Walks the header of a GGUF file once, checking every length before it is used.
#include <cstring>
#include <string>
#include <string_view>

#include "io/gguf.h"

namespace lorikeet {

class GgufReader {
 public:
  explicit GgufReader(GgufFile& out);
  void read();

 private:
  template <class T>
  T take(const char* what) {
    T v;
    std::memcpy(&v, take_bytes(sizeof(T), what), sizeof(T));
    return v;
  }
  const std::byte* take_bytes(uint64_t n, const char* what);
  uint64_t take_count(const char* what);  ///< 32 bits in version 1
  std::string_view take_string(const char* what);
  GgufValueType take_type();

  void read_pair();
  GgufFile::Value read_value(GgufValueType type);
  GgufFile::Value read_array();
  void skip_array(GgufValueType element, uint64_t count, int depth);
  void read_tensor_info();
  void place_tensors();
  uint64_t alignment() const;
  [[noreturn]] void fail(const std::string& message) const;

  GgufFile& out_;
  uint64_t at_ = 0, size_;
  std::string context_;  // key or tensor that is being read
  std::vector<uint64_t> offsets_;
};

}  // namespace lorikeet
