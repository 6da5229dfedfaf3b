#include "text/proto_message.h"

#include <bit>
#include <cstring>

#include "core/error.h"

namespace lorikeet::text {

void ProtoMessage::fail(const std::string& message) const {
  throw Error(ErrorKind::format, fmt::format("{} at byte {}", message, at_), where_,
              "the file is cut off or damaged: fetch it again");
}

bool ProtoMessage::next() {
  if (at_ == bytes_.size()) return false;
  const uint64_t tag = varint();
  wire_ = static_cast<uint32_t>(tag & 7);
  constexpr uint64_t kLargestField = (uint64_t{1} << 29) - 1;
  if (tag >> 3 == 0 || tag >> 3 > kLargestField) fail(fmt::format("field {} is impossible", tag >> 3));
  field_ = static_cast<uint32_t>(tag >> 3);
  switch (wire_) {
    case kVarint:
      integer_ = varint();
      return true;
    case kFixed64:
      value_ = take(8);
      return true;
    case kBytes:
      value_ = take(varint());
      return true;
    case kFixed32:
      value_ = take(4);
      return true;
    default:
      fail(fmt::format("field {} is stored as kind {}, which is not known", field_, wire_));
  }
}

uint64_t ProtoMessage::varint() {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift < 64; shift += 7) {
    if (at_ == bytes_.size()) fail("the message ends inside a number");
    const auto byte = static_cast<unsigned char>(bytes_[at_++]);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("a number has more than 64 bits");
}

std::string_view ProtoMessage::take(uint64_t size) {
  if (size > bytes_.size() - at_)
    fail(fmt::format("field {} has {} bytes, the message has {} left", field_, size, bytes_.size() - at_));
  const std::string_view value = bytes_.substr(at_, size);
  at_ += size;
  return value;
}

void ProtoMessage::expect(Wire wire) const {
  if (wire_ != wire) fail(fmt::format("field {} is stored as kind {}, not {}", field_, wire_, wire + 0u));
}

int64_t ProtoMessage::integer() const {
  expect(kVarint);
  return static_cast<int64_t>(integer_);
}

float ProtoMessage::number() const {
  static_assert(std::endian::native == std::endian::little);
  expect(kFixed32);
  float value = 0;
  std::memcpy(&value, value_.data(), sizeof value);
  return value;
}

std::string_view ProtoMessage::bytes() const {
  expect(kBytes);
  return value_;
}

}  // namespace lorikeet::text
