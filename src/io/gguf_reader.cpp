#include "io/gguf_reader.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace lorikeet {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF values are read in place");

constexpr int kMaxArrayDepth = 8;
constexpr uint64_t kMaxKeyBytes = 65535, kMaxNameBytes = 64;
// Smallest encodings, to bound the counts by the file's size before anything is stored.
constexpr uint64_t kMinPairBytes = 4 + 1 + 4 + 1, kMinInfoBytes = 4 + 1 + 4 + 4 + 8;

bool is_utf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const int more = c < 0x80                 ? 0
                     : c >= 0xc2 && c <= 0xdf ? 1
                     : c >= 0xe0 && c <= 0xef ? 2
                     : c >= 0xf0 && c <= 0xf4 ? 3
                                              : -1;
    if (more < 0 || s.size() - i <= static_cast<size_t>(more)) return false;
    uint32_t point = more == 0 ? c : c & (0x3fu >> more);
    for (int k = 1; k <= more; ++k) {
      const auto b = static_cast<unsigned char>(s[i + k]);
      if ((b & 0xc0u) != 0x80u) return false;
      point = point << 6 | (b & 0x3fu);
    }
    constexpr uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (point < smallest[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    i += 1 + more;
  }
  return true;
}

}  // namespace

GgufReader::GgufReader(GgufFile& out) : out_(out), size_(out.file_.size()) {}

void GgufReader::fail(const std::string& message) const {
  throw Error(ErrorKind::format, message, out_.path() + (context_.empty() ? "" : ", " + context_),
              "the file is cut off or damaged: fetch it again");
}

const std::byte* GgufReader::take_bytes(uint64_t n, const char* what) {
  if (n > size_ - at_)
    fail(fmt::format("{} needs {} bytes at {}, the file has {} left", what, n, at_, size_ - at_));
  const std::byte* p = out_.file_.data() + at_;
  at_ += n;
  return p;
}

uint64_t GgufReader::take_count(const char* what) {
  return out_.version_ == 1 ? take<uint32_t>(what) : take<uint64_t>(what);
}

std::string_view GgufReader::take_string(const char* what) {
  const uint64_t n = take_count(what);
  return {reinterpret_cast<const char*>(take_bytes(n, what)), n};
}

GgufValueType GgufReader::take_type() {
  const auto type = take<uint32_t>("a value type");
  if (type >= kGgufValueTypes) fail(fmt::format("unknown value type {}", type));
  return static_cast<GgufValueType>(type);
}

void GgufReader::read() {
  if (size_ < 8 || std::memcmp(out_.file_.data(), "GGUF", 4) != 0) {
    throw Error(ErrorKind::format, "not a GGUF file (it does not start with \"GGUF\")", out_.path());
  }
  at_ = 4;
  out_.version_ = take<uint32_t>("the version");
  if (out_.version_ < 1 || out_.version_ > 3) {
    const bool swapped = out_.version_ != 0 && (out_.version_ & 0xffffffu) == 0;
    throw Error(ErrorKind::unsupported,
                swapped ? std::string("big-endian GGUF files are not supported")
                        : fmt::format("GGUF version {} is not supported", out_.version_),
                out_.path(), "use a little-endian file of version 1 to 3");
  }
  const uint64_t tensors = take_count("the tensor count"), pairs = take_count("the key count");
  const uint64_t left = size_ - at_;
  if (pairs > left / kMinPairBytes)
    fail(fmt::format("{} keys cannot be in a file of {} bytes", pairs, size_));
  if (tensors > left / kMinInfoBytes)
    fail(fmt::format("{} tensors cannot be in a file of {} bytes", tensors, size_));
  for (uint64_t i = 0; i < pairs; ++i) read_pair();
  for (uint64_t i = 0; i < tensors; ++i) read_tensor_info();
  context_.clear();
  place_tensors();
}

void GgufReader::read_pair() {
  context_.clear();
  const std::string_view key = take_string("a key");
  if (key.empty() || key.size() > kMaxKeyBytes || !is_utf8(key)) {
    fail(fmt::format("a key of {} bytes is not valid UTF-8 of 1 to {} bytes", key.size(), kMaxKeyBytes));
  }
  context_ = fmt::format("key '{}'", key);
  const GgufFile::Value value = read_value(take_type());
  if (!out_.values_.emplace(key, value).second) fail("the key occurs twice");
  out_.key_order_.push_back(key);
}

GgufFile::Value GgufReader::read_value(GgufValueType type) {
  if (type == GgufValueType::array) return read_array();
  GgufFile::Value v;
  v.type = type;
  v.data = out_.file_.data() + at_;
  if (type == GgufValueType::string) {
    if (!is_utf8(take_string("a string"))) fail("the string is not valid UTF-8");
    return v;
  }
  const std::byte* p = take_bytes(size_of(type), "a value");
  if (type == GgufValueType::boolean && static_cast<uint8_t>(*p) > 1) {
    fail(fmt::format("a boolean is 0 or 1, found {}", static_cast<uint8_t>(*p)));
  }
  return v;
}

GgufFile::Value GgufReader::read_array() {
  GgufFile::Value v;
  v.type = GgufValueType::array;
  v.element = take_type();
  v.count = take_count("an array length");
  v.data = out_.file_.data() + at_;
  skip_array(v.element, v.count, 1);
  return v;
}

void GgufReader::skip_array(GgufValueType element, uint64_t count, int depth) {
  if (const uint64_t size = size_of(element)) {
    if (count > (size_ - at_) / size)
      fail(fmt::format("an array of {} {} values does not fit the file", count, name_of(element)));
    const std::byte* p = take_bytes(count * size, "an array");
    if (element == GgufValueType::boolean &&
        std::any_of(p, p + count, [](std::byte b) { return static_cast<uint8_t>(b) > 1; })) {
      fail("a boolean is 0 or 1, found another value in the array");
    }
    return;
  }
  if (element == GgufValueType::string) {
    // Tokens of byte-level vocabularies are UTF-8 text; whoever reads them checks their content.
    for (uint64_t i = 0; i < count; ++i) take_string("a string");
    return;
  }
  if (depth == kMaxArrayDepth) fail(fmt::format("arrays are nested deeper than {} levels", kMaxArrayDepth));
  for (uint64_t i = 0; i < count; ++i) {
    const GgufValueType inner = take_type();
    skip_array(inner, take_count("an array length"), depth + 1);
  }
}

void GgufReader::read_tensor_info() {
  context_.clear();
  const std::string_view name = take_string("a tensor name");
  if (name.empty() || name.size() > kMaxNameBytes || !is_utf8(name)) {
    fail(fmt::format("a tensor name of {} bytes is not valid UTF-8 of 1 to {} bytes", name.size(),
                     kMaxNameBytes));
  }
  context_ = fmt::format("tensor '{}'", name);
  GgufTensor t;
  t.name = name;
  const auto rank = take<uint32_t>("the number of dimensions");
  if (rank > 4) fail(fmt::format("{} dimensions, at most 4 are allowed", rank));
  uint64_t count = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    const uint64_t n = take_count("a dimension");
    if (n > INT64_MAX || __builtin_mul_overflow(count, n, &count) || count > INT64_MAX)
      fail("the shape overflows");
    t.shape.insert(t.shape.begin(), static_cast<int64_t>(n));
  }
  t.type = static_cast<GgufType>(take<uint32_t>("the tensor type"));
  offsets_.push_back(take<uint64_t>("the data offset"));
  if (const GgufBlock block = block_of(t.type); block.elements != 0) {
    const uint64_t row = t.shape.empty() ? 1 : static_cast<uint64_t>(t.shape.back());
    if (row % block.elements != 0) {
      fail(fmt::format("rows of {} elements are no multiple of {}'s block of {}", row, name_of(t.type),
                       block.elements));
    }
    uint64_t bytes;
    if (__builtin_mul_overflow(count / block.elements, uint64_t{block.bytes}, &bytes))
      fail("the size overflows");
    t.bytes = bytes;
  }
  out_.tensors_.push_back(std::move(t));
}

uint64_t GgufReader::alignment() const {
  if (!out_.has("general.alignment")) return 32;
  const int64_t a = out_.integer("general.alignment");
  if (a <= 0 || a % 8 != 0 || a > (int64_t{1} << 30)) {
    fail(fmt::format("general.alignment is {}, a positive multiple of 8 is needed", a));
  }
  return static_cast<uint64_t>(a);
}

void GgufReader::place_tensors() {
  const uint64_t align = alignment(), start = (at_ + align - 1) / align * align;
  auto& tensors = out_.tensors_;
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < tensors.size(); ++i) {
    GgufTensor& t = tensors[i];
    context_ = fmt::format("tensor '{}'", t.name);
    const uint64_t offset = offsets_[i];
    if (offset % align != 0)
      fail(fmt::format("its offset {} is no multiple of the alignment {}", offset, align));
    if (start > size_ || offset > size_ - start || t.bytes > size_ - start - offset) {
      if (t.bytes != 0 || block_of(t.type).elements == 0) {
        fail(fmt::format("its {} bytes at offset {} are not inside the file's {} bytes of data", t.bytes,
                         offset, start > size_ ? 0 : size_ - start));
      }
    } else {
      t.data = out_.file_.data() + start + offset;
    }
    if (t.bytes != 0) order.emplace_back(offset, i);
  }
  std::sort(order.begin(), order.end());
  for (size_t k = 1; k < order.size(); ++k) {
    const GgufTensor &before = tensors[order[k - 1].second], &t = tensors[order[k].second];
    if (order[k - 1].first + before.bytes > order[k].first) {
      context_ = fmt::format("tensor '{}'", t.name);
      fail(fmt::format("its data at {} overlaps '{}', which ends at {}", order[k].first, before.name,
                       order[k - 1].first + before.bytes));
    }
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t k = 1; k < tensors.size(); ++k) {
    context_ = fmt::format("tensor '{}'", tensors[k].name);
    if (tensors[k].name == tensors[k - 1].name) fail("the tensor occurs twice");
  }
}

}  // namespace lorikeet
