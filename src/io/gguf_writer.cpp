#include "io/gguf_writer.h"

#include <bit>

#include "core/error.h"

namespace lorikeet {
namespace {

template <class T>
void put(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.append(text);
}

}  // namespace

GgufWriter::GgufWriter(const std::string& path, uint32_t alignment) : file_(path), alignment_(alignment) {
  LORIKEET_CHECK(alignment > 0 && alignment % 8 == 0);
  if (alignment != 32) add_uint32("general.alignment", alignment);
}

void GgufWriter::key(std::string_view key, GgufValueType type) {
  LORIKEET_CHECK(!begun_ && !key.empty() && key.size() <= 65535);
  put_string(metadata_, key);
  put(metadata_, static_cast<uint32_t>(type));
  ++keys_;
}

void GgufWriter::add_uint32(std::string_view k, uint32_t value) {
  key(k, GgufValueType::uint32), put(metadata_, value);
}
void GgufWriter::add_int32(std::string_view k, int32_t value) {
  key(k, GgufValueType::int32), put(metadata_, value);
}
void GgufWriter::add_uint64(std::string_view k, uint64_t value) {
  key(k, GgufValueType::uint64), put(metadata_, value);
}
void GgufWriter::add_float32(std::string_view k, float value) {
  key(k, GgufValueType::float32), put(metadata_, value);
}
void GgufWriter::add_bool(std::string_view k, bool value) {
  key(k, GgufValueType::boolean);
  put<uint8_t>(metadata_, value);
}
void GgufWriter::add_string(std::string_view k, std::string_view value) {
  key(k, GgufValueType::string);
  put_string(metadata_, value);
}
void GgufWriter::add_strings(std::string_view k, std::span<const std::string> values) {
  key(k, GgufValueType::array);
  put(metadata_, static_cast<uint32_t>(GgufValueType::string));
  put<uint64_t>(metadata_, values.size());
  for (const std::string& v : values) put_string(metadata_, v);
}
void GgufWriter::add_float32s(std::string_view k, std::span<const float> values) {
  key(k, GgufValueType::array);
  put(metadata_, static_cast<uint32_t>(GgufValueType::float32));
  put<uint64_t>(metadata_, values.size());
  for (const float v : values) put(metadata_, v);
}
void GgufWriter::add_int32s(std::string_view k, std::span<const int32_t> values) {
  key(k, GgufValueType::array);
  put(metadata_, static_cast<uint32_t>(GgufValueType::int32));
  put<uint64_t>(metadata_, values.size());
  for (const int32_t v : values) put(metadata_, v);
}

void GgufWriter::copy(const GgufFile& from, std::string_view k) {
  const GgufFile::Value& v = from.value(k);
  if (v.type == GgufValueType::string) return add_string(k, from.string(k));
  const bool array = v.type == GgufValueType::array;
  if (array && v.element == GgufValueType::array)
    throw Error(ErrorKind::unsupported, "an array of arrays cannot be copied",
                fmt::format("{}, key '{}'", from.path(), k));
  key(k, v.type);
  if (array) {
    put(metadata_, static_cast<uint32_t>(v.element));
    put<uint64_t>(metadata_, v.count);
  }
  if (array && v.element == GgufValueType::string)
    for (const std::string_view s : from.strings(k)) put_string(metadata_, s);
  else
    metadata_.append(reinterpret_cast<const char*>(v.data),
                     array ? v.count * size_of(v.element) : size_of(v.type));
}

void GgufWriter::add_tensor(std::string_view name, GgufType type, std::vector<int64_t> shape) {
  const GgufBlock block = block_of(type);
  LORIKEET_CHECK(!begun_ && block.elements != 0 && !name.empty() && name.size() <= 64 && shape.size() <= 4);
  LORIKEET_CHECK(shape.empty() || shape.back() % block.elements == 0);
  put_string(infos_, name);
  put(infos_, static_cast<uint32_t>(shape.size()));
  uint64_t count = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    LORIKEET_CHECK(shape[i] >= 0 && !__builtin_mul_overflow(count, static_cast<uint64_t>(shape[i]), &count));
    put<uint64_t>(infos_, static_cast<uint64_t>(shape[i]));
  }
  put(infos_, static_cast<uint32_t>(type));
  put(infos_, data_bytes_);
  const uint64_t bytes = count / block.elements * block.bytes;
  pending_.declare(std::string(name), data_bytes_, bytes);
  data_bytes_ += (bytes + alignment_ - 1) / alignment_ * alignment_;
  ++tensors_;
}

void GgufWriter::begin() {
  LORIKEET_CHECK(!begun_);
  begun_ = true;
  std::string header = "GGUF";
  put<uint32_t>(header, 3);
  put(header, tensors_);
  put(header, keys_);
  header += metadata_;
  header += infos_;
  header.resize((header.size() + alignment_ - 1) / alignment_ * alignment_, '\0');
  pending_.place_behind(header.size());
  const uint64_t total = header.size() + data_bytes_;
  file_.reserve(total);
  file_.append(header);
  // Names the file's end, so that the padding after the last tensor exists where the disk could not be
  // reserved.
  if (data_bytes_ != 0) file_.write_at(total - 1, std::as_bytes(std::span("", 1)));
  file_.flush();
}

void GgufWriter::write(const std::string& name, std::span<const std::byte> bytes) {
  LORIKEET_CHECK(begun_);
  pending_.write(file_, name, bytes);
}

}  // namespace lorikeet
