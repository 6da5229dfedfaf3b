#include "io/safetensors_header.h"

#include <algorithm>

#include "core/error.h"
#include "io/json.h"

namespace lorikeet {
namespace {

std::string location(const std::string& path, const std::string& tensor) {
  return fmt::format("{}, tensor '{}'", path, tensor);
}

// Reads {"__metadata__": {string: string}, name: {"dtype": string, "shape": [n...], "data_offsets": [begin,
// end]}, ...} and nothing else, without building a document.
class HeaderSax : public nlohmann::json_sax<Json> {
 public:
  HeaderSax(SafetensorsHeader& out, std::string_view text, const std::string& path)
      : out_(out), text_(text), path_(path) {}

  bool null() override {
    return state_ == State::metadata_start ? (state_ = State::top, true) : refuse("null");
  }
  bool boolean(bool) override { return refuse("a boolean"); }
  bool number_integer(int64_t) override { return refuse("a negative number"); }
  bool number_float(double, const std::string& token) override {
    return refuse("the number " + token.substr(0, 40));
  }
  bool binary(Json::binary_t&) override { return refuse("binary"); }
  bool number_unsigned(uint64_t v) override {
    if (state_ == State::shape) {
      if (v > INT64_MAX) return refuse(fmt::format("the dimension {}", v));
      entry().shape.push_back(static_cast<int64_t>(v));
      return true;
    }
    if (state_ == State::offsets && offsets_ < 2)
      return (offsets_++ == 0 ? entry().begin : entry().end) = v, true;
    return refuse("a number");
  }
  bool string(std::string& v) override {
    if (state_ == State::metadata_value)
      return out_.metadata[key_] = std::move(v), state_ = State::metadata, true;
    if (state_ != State::dtype) return refuse("a string");
    const auto type = safetensors_type(v);
    if (!type) {
      throw Error(ErrorKind::format, fmt::format("unknown dtype \"{}\"", v.substr(0, 40)),
                  location(path_, entry().name));
    }
    entry().type = *type;
    state_ = State::tensor;
    return true;
  }
  bool start_object(size_t) override {
    switch (state_) {
      case State::start:
        state_ = State::top;
        return true;
      case State::metadata_start:
        state_ = State::metadata;
        return true;
      case State::tensor_start:
        state_ = State::tensor;
        return true;
      default:
        return refuse("an object");
    }
  }
  bool end_object() override {
    if (state_ == State::tensor && seen_ != 7) {
      throw Error(ErrorKind::format, "dtype, shape and data_offsets are needed, one is missing",
                  location(path_, entry().name));
    }
    state_ = state_ == State::top ? State::done : State::top;
    return true;
  }
  bool start_array(size_t) override {
    switch (state_) {
      case State::shape_start:
        state_ = State::shape;
        return true;
      case State::offsets_start:
        state_ = State::offsets;
        return true;
      default:
        return refuse("an array");
    }
  }
  bool end_array() override {
    if (state_ == State::offsets && offsets_ != 2) {
      throw Error(ErrorKind::format, fmt::format("data_offsets needs 2 numbers, found {}", offsets_),
                  location(path_, entry().name));
    }
    state_ = State::tensor;
    return true;
  }
  bool key(std::string& name) override {
    if (state_ == State::metadata) {
      if (out_.metadata.contains(name)) duplicate(name);
      key_ = std::move(name);
      state_ = State::metadata_value;
      return true;
    }
    if (state_ == State::tensor) return field(name);
    if (name == "__metadata__") {
      if (has_metadata_) duplicate(name);
      has_metadata_ = true;
      state_ = State::metadata_start;
      return true;
    }
    out_.entries.push_back({std::move(name), SafetensorsType::f32, {}, 0, 0});
    seen_ = offsets_ = 0;
    state_ = State::tensor_start;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    throw Error(ErrorKind::format, "the header is not valid UTF-8 JSON",
                fmt::format("{}, header {}", path_, line_and_column(text_, position > 0 ? position - 1 : 0)),
                "the file is damaged: fetch it again");
  }

 private:
  enum class State {
    start,
    top,
    metadata_start,
    metadata,
    metadata_value,
    tensor_start,
    tensor,
    dtype,
    shape_start,
    shape,
    offsets_start,
    offsets,
    done
  };

  SafetensorsHeader::Entry& entry() { return out_.entries.back(); }

  bool field(const std::string& name) {
    const int bit = name == "dtype" ? 1 : name == "shape" ? 2 : name == "data_offsets" ? 4 : 0;
    if (bit == 0) {
      throw Error(ErrorKind::format, fmt::format("unknown field \"{}\"", name.substr(0, 60)),
                  location(path_, entry().name));
    }
    if (seen_ & bit) duplicate(name);
    seen_ |= bit;
    state_ = bit == 1 ? State::dtype : bit == 2 ? State::shape_start : State::offsets_start;
    return true;
  }
  bool refuse(const std::string& found) {
    std::string where = path_ + ", header";
    if (state_ != State::top && !out_.entries.empty()) where = location(path_, entry().name);
    throw Error(ErrorKind::format, "the header does not describe tensors: unexpected " + found, where,
                "the file is damaged or not a safetensors file");
  }
  [[noreturn]] void duplicate(const std::string& name) {
    throw Error(ErrorKind::format,
                fmt::format("the key \"{}\" occurs twice in the header", name.substr(0, 200)), path_);
  }

  SafetensorsHeader& out_;
  std::string_view text_;
  const std::string& path_;
  State state_ = State::start;
  std::string key_;
  bool has_metadata_ = false;
  int seen_ = 0, offsets_ = 0;
};

void check_coverage(const std::vector<SafetensorsHeader::Entry>& entries, uint64_t data_bytes,
                    const std::string& path) {
  std::vector<const SafetensorsHeader::Entry*> order;
  for (const auto& e : entries) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t at = 0;
  for (const auto* e : order) {
    if (e->begin != at) {
      throw Error(
          ErrorKind::format,
          e->begin < at
              ? fmt::format("its data starts at {} inside another tensor that ends at {}", e->begin, at)
              : fmt::format("its data starts at {}, but nothing covers the bytes from {}", e->begin, at),
          location(path, e->name), "the file is damaged: fetch it again");
    }
    at = e->end;
  }
  if (at != data_bytes) {
    throw Error(ErrorKind::format,
                fmt::format("the header describes {} bytes of data, the file has {}", at, data_bytes), path,
                "the file is cut off or damaged: fetch it again");
  }
}

}  // namespace

std::optional<uint64_t> safetensors_bytes(SafetensorsType type, const std::vector<int64_t>& shape) {
  uint64_t bits = static_cast<uint64_t>(bits_of(type));
  bool overflow = false;
  // A zero dimension makes the product zero, wherever it stands; the others must still be representable.
  for (const int64_t n : shape) overflow |= __builtin_mul_overflow(bits, static_cast<uint64_t>(n), &bits);
  if (overflow || bits % 8 != 0) return std::nullopt;
  return bits / 8;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           const std::string& path) {
  SafetensorsHeader header;
  HeaderSax sax(header, json, path);
  Json::sax_parse(json.begin(), json.end(), &sax);
  for (const auto& e : header.entries) {
    const auto bytes = safetensors_bytes(e.type, e.shape);
    if (!bytes) {
      throw Error(
          ErrorKind::format,
          fmt::format("the size of shape [{}] {} overflows", fmt::join(e.shape, ","), name_of(e.type)),
          location(path, e.name));
    }
    if (e.begin > e.end || e.end > data_bytes) {
      throw Error(ErrorKind::format,
                  fmt::format("its data [{}, {}) is not inside the file's {} bytes of data", e.begin, e.end,
                              data_bytes),
                  location(path, e.name), "the file is cut off or damaged: fetch it again");
    }
    if (e.end - e.begin != *bytes) {
      throw Error(ErrorKind::format,
                  fmt::format("shape [{}] {} needs {} bytes, its data has {}", fmt::join(e.shape, ","),
                              name_of(e.type), *bytes, e.end - e.begin),
                  location(path, e.name));
    }
  }
  check_coverage(header.entries, data_bytes, path);
  auto& entries = header.entries;
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  const auto twice = std::adjacent_find(entries.begin(), entries.end(),
                                        [](const auto& a, const auto& b) { return a.name == b.name; });
  if (twice != entries.end()) {
    throw Error(ErrorKind::format, "the tensor occurs twice in the header", location(path, twice->name));
  }
  return header;
}

}  // namespace lorikeet
