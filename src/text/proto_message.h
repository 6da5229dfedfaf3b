#pragma once
// The fields of a serialized protocol-buffer message, one after another. Only the wire format is known here;
// what a number means is the reader's business.
// Source: https://protobuf.dev/programming-guides/encoding
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet::text {

class ProtoMessage {
 public:
  /// `where` names file and message in errors; `bytes` must outlive the object.
  ProtoMessage(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  /// Goes to the next field; false at the end. Throws Error(format) where the message is cut off or no
  /// message at all.
  bool next();
  uint32_t field() const { return field_; }

  // The value of the current field. Throws Error(format) if it is stored as another kind.
  int64_t integer() const;
  bool boolean() const { return integer() != 0; }
  float number() const;
  std::string_view bytes() const;

 private:
  enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  [[noreturn]] void fail(const std::string& message) const;
  void expect(Wire wire) const;
  uint64_t varint();
  std::string_view take(uint64_t size);

  std::string_view bytes_;
  std::string where_;
  size_t at_ = 0;
  uint32_t field_ = 0, wire_ = 0;
  uint64_t integer_ = 0;
  std::string_view value_;
};

}  // namespace lorikeet::text
