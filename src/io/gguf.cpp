#include "io/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "io/gguf_reader.h"

namespace lorikeet {
namespace {

template <class T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

bool is_integer(GgufValueType t) {
  return t != GgufValueType::float32 && t != GgufValueType::float64 && t != GgufValueType::string &&
         t != GgufValueType::array && t != GgufValueType::boolean;
}

// Any scalar as a double; exact for everything a model file holds except 64-bit integers beyond 2^53.
double scalar_number(GgufValueType type, const std::byte* p) {
  switch (type) {
    case GgufValueType::uint8:
    case GgufValueType::boolean:
      return load<uint8_t>(p);
    case GgufValueType::int8:
      return load<int8_t>(p);
    case GgufValueType::uint16:
      return load<uint16_t>(p);
    case GgufValueType::int16:
      return load<int16_t>(p);
    case GgufValueType::uint32:
      return load<uint32_t>(p);
    case GgufValueType::int32:
      return load<int32_t>(p);
    case GgufValueType::uint64:
      return static_cast<double>(load<uint64_t>(p));
    case GgufValueType::int64:
      return static_cast<double>(load<int64_t>(p));
    case GgufValueType::float32:
      return load<float>(p);
    default:
      return load<double>(p);
  }
}

int64_t scalar_integer(GgufValueType type, const std::byte* p) {
  if (type == GgufValueType::int64 || type == GgufValueType::uint64) return load<int64_t>(p);
  return static_cast<int64_t>(scalar_number(type, p));
}

bool beyond_int64(GgufValueType type, const std::byte* p) {
  return type == GgufValueType::uint64 && load<uint64_t>(p) > static_cast<uint64_t>(INT64_MAX);
}

std::string_view take_string(const std::byte*& p, uint32_t version) {
  const uint64_t n = version == 1 ? load<uint32_t>(p) : load<uint64_t>(p);
  p += version == 1 ? 4 : 8;
  const std::string_view s(reinterpret_cast<const char*>(p), n);
  p += n;
  return s;
}

}  // namespace

int64_t GgufTensor::count() const {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string GgufTensor::describe() const {
  return fmt::format("[{}] {}", fmt::join(shape, ","), name_of(type));
}

GgufFile GgufFile::open(const std::string& path) {
  GgufFile result;
  result.file_ = MappedFile::open(path);
  GgufReader(result).read();
  return result;
}

std::vector<std::string_view> GgufFile::keys() const { return key_order_; }

const GgufFile::Value* GgufFile::find_value(std::string_view key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? nullptr : &at->second;
}

const GgufFile::Value& GgufFile::value(std::string_view key) const {
  if (const Value* v = find_value(key)) return *v;
  throw Error(ErrorKind::format, fmt::format("the key '{}' is missing", key), path());
}

const GgufFile::Value& GgufFile::array(std::string_view key) const {
  const Value& v = value(key);
  if (v.type != GgufValueType::array) wrong_type(key, "an array");
  return v;
}

std::string GgufFile::type_of(std::string_view key) const {
  const Value& v = value(key);
  return v.type == GgufValueType::array ? fmt::format("array of {}", name_of(v.element)) : name_of(v.type);
}

void GgufFile::wrong_type(std::string_view key, const char* wanted) const {
  throw Error(ErrorKind::format, fmt::format("{} is needed, found {}", wanted, type_of(key)),
              fmt::format("{}, key '{}'", path(), key));
}

int64_t GgufFile::integer(std::string_view key) const {
  const Value& v = value(key);
  if (!is_integer(v.type) || beyond_int64(v.type, v.data)) wrong_type(key, "an integer");
  return scalar_integer(v.type, v.data);
}

double GgufFile::number(std::string_view key) const {
  const Value& v = value(key);
  if (size_of(v.type) == 0 || v.type == GgufValueType::boolean) wrong_type(key, "a number");
  return scalar_number(v.type, v.data);
}

bool GgufFile::boolean(std::string_view key) const {
  const Value& v = value(key);
  if (v.type != GgufValueType::boolean) wrong_type(key, "a boolean");
  return load<uint8_t>(v.data) != 0;
}

std::string_view GgufFile::string(std::string_view key) const {
  const Value& v = value(key);
  if (v.type != GgufValueType::string) wrong_type(key, "a string");
  const std::byte* p = v.data;
  return take_string(p, version_);
}

std::vector<std::string_view> GgufFile::strings(std::string_view key) const {
  const Value& v = array(key);
  if (v.element != GgufValueType::string) wrong_type(key, "an array of strings");
  std::vector<std::string_view> result;
  result.reserve(v.count);  // bounded: the file holds at least 4 bytes for each
  const std::byte* p = v.data;
  for (uint64_t i = 0; i < v.count; ++i) result.push_back(take_string(p, version_));
  return result;
}

std::vector<double> GgufFile::numbers(std::string_view key) const {
  const Value& v = array(key);
  const uint32_t size = size_of(v.element);
  if (size == 0) wrong_type(key, "an array of numbers");
  std::vector<double> result(v.count);
  for (uint64_t i = 0; i < v.count; ++i) result[i] = scalar_number(v.element, v.data + i * size);
  return result;
}

std::vector<int64_t> GgufFile::integers(std::string_view key) const {
  const Value& v = array(key);
  const uint32_t size = size_of(v.element);
  if (!is_integer(v.element) && v.element != GgufValueType::boolean) wrong_type(key, "an array of integers");
  std::vector<int64_t> result(v.count);
  for (uint64_t i = 0; i < v.count; ++i) {
    if (beyond_int64(v.element, v.data + i * size)) wrong_type(key, "an array of 64-bit signed integers");
    result[i] = scalar_integer(v.element, v.data + i * size);
  }
  return result;
}

size_t GgufFile::array_size(std::string_view key) const { return array(key).count; }

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto at =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const GgufTensor& t, std::string_view wanted) { return t.name < wanted; });
  if (at == tensors_.end() || at->name != name) return nullptr;
  if (block_of(at->type).elements == 0) {
    throw Error(ErrorKind::unsupported, fmt::format("tensors of {} are not supported", name_of(at->type)),
                fmt::format("{}, tensor '{}'", path(), name),
                "use a file quantized to another type, e.g. Q4_K_M or Q8_0");
  }
  return &*at;
}

const GgufTensor& GgufFile::at(std::string_view name) const {
  if (const GgufTensor* t = find(name)) return *t;
  throw Error(ErrorKind::format, fmt::format("the tensor '{}' is missing", name), path());
}

void GgufFile::release(const GgufTensor& tensor) const {
  if (tensor.data) file_.release(static_cast<size_t>(tensor.data - file_.data()), tensor.bytes);
}

}  // namespace lorikeet
