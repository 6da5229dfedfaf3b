#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>

#include "core/error.h"
#include "io/json.h"
#include "io/safetensors_header.h"

namespace lorikeet {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;

template <class T>
const T* find_by_name(const std::vector<T>& sorted, std::string_view name) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), name,
                                   [](const T& t, std::string_view wanted) { return t.name < wanted; });
  return at != sorted.end() && at->name == name ? &*at : nullptr;
}

uint64_t header_bytes_of(const MappedFile& file) {
  const std::string& path = file.path();
  if (file.size() < 8) {
    throw Error(ErrorKind::format,
                fmt::format("a safetensors file has at least 8 bytes, this one {}", file.size()), path,
                "the file is cut off or not a safetensors file");
  }
  uint64_t bytes = 0;
  for (int i = 7; i >= 0; --i) bytes = bytes << 8 | static_cast<uint8_t>(file.data()[i]);
  if (bytes > kMaxHeaderBytes) {
    throw Error(ErrorKind::format,
                fmt::format("a header of {} bytes, at most {} are allowed", bytes, kMaxHeaderBytes), path,
                "this is not a safetensors file");
  }
  if (bytes > file.size() - 8) {
    throw Error(ErrorKind::format,
                fmt::format("the header needs {} bytes, the file has {} left", bytes, file.size() - 8), path,
                "the file is cut off: fetch it again");
  }
  return bytes;
}

bool leaves_folder(const std::string& name) {
  const std::filesystem::path path(name);
  return name.empty() || path.is_absolute() ||
         std::any_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
}

}  // namespace

int64_t SafetensorsTensor::count() const {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string SafetensorsTensor::describe() const {
  return fmt::format("[{}] {}", fmt::join(shape, ","), name_of(type));
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile result;
  result.file_ = MappedFile::open(path);
  const MappedFile& file = result.file_;
  const uint64_t header_bytes = header_bytes_of(file);
  const std::string_view json(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  if (json.empty() || json[0] != '{') {
    throw Error(ErrorKind::format, "the header does not start with '{'", path,
                "this is not a safetensors file");
  }
  const std::byte* data = file.data() + 8 + header_bytes;
  SafetensorsHeader header = parse_safetensors_header(json, file.size() - 8 - header_bytes, path);
  result.metadata_ = std::move(header.metadata);
  result.tensors_.reserve(header.entries.size());
  for (auto& e : header.entries) {
    SafetensorsTensor t{std::move(e.name), e.type, std::move(e.shape), data + e.begin, e.end - e.begin, 0};
    const size_t alignment = static_cast<size_t>(std::max(1, bits_of(t.type) / 8));
    if (t.bytes != 0 && reinterpret_cast<uintptr_t>(t.data) % alignment != 0) {
      std::byte* copy = new (std::nothrow) std::byte[t.bytes];
      if (!copy) {
        throw Error(ErrorKind::resource,
                    fmt::format("no memory for a copy of a misaligned tensor ({} bytes)", t.bytes),
                    fmt::format("{}, tensor '{}'", path, t.name),
                    "save the file again with the safetensors library");
      }
      result.copies_.emplace_back(copy);
      std::memcpy(copy, t.data, t.bytes);
      t.data = copy;
    }
    result.tensors_.push_back(std::move(t));
  }
  return result;
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  return find_by_name(tensors_, name);
}

void SafetensorsFile::release(const SafetensorsTensor& tensor) const {
  const auto at = reinterpret_cast<uintptr_t>(tensor.data), begin = reinterpret_cast<uintptr_t>(file_.data());
  if (at >= begin && at < begin + file_.size()) file_.release(at - begin, tensor.bytes);  // not for a copy
}

SafetensorsSet SafetensorsSet::open_file(const std::string& path) {
  SafetensorsSet set;
  set.path_ = path;
  set.files_.push_back(SafetensorsFile::open(path));
  set.tensors_ = set.files_[0].tensors();
  return set;
}

SafetensorsSet SafetensorsSet::open_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw Error(
        ErrorKind::usage,
        fmt::format("'{}' {}", folder, fs::exists(folder, error) ? "is not a folder" : "does not exist"),
        folder, "name the folder that holds model.safetensors");
  }
  const std::string single = folder + "/model.safetensors", index = single + ".index.json";
  if (fs::exists(single, error)) {
    SafetensorsSet set = open_file(single);
    set.path_ = folder;
    return set;
  }
  if (!fs::exists(index, error)) {
    throw Error(ErrorKind::usage, "the folder has no model.safetensors and no model.safetensors.index.json",
                folder, "name a model folder in safetensors format");
  }
  const Json json = read_json_file(index, {.refuse_duplicate_keys = true});
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object()) {
    throw Error(ErrorKind::format, "\"weight_map\" (an object) is missing", index);
  }
  SafetensorsSet set;
  set.path_ = folder;
  std::map<std::string, size_t> shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string& name = json_string(file, fmt::format("{}, weight_map, \"{}\"", index, tensor));
    if (shards.contains(name)) continue;
    if (leaves_folder(name)) {
      throw Error(ErrorKind::format, fmt::format("the shard path '{}' leaves the model's folder", name),
                  index);
    }
    const std::string path = fmt::format("{}/{}", folder, name);
    if (!fs::exists(path, error)) {
      throw Error(ErrorKind::format, fmt::format("the shard '{}' is missing", name), index,
                  "fetch the missing file");
    }
    shards[name] = set.files_.size();
    set.files_.push_back(SafetensorsFile::open(path));
  }
  for (size_t i = 0; i < set.files_.size(); ++i) {
    for (SafetensorsTensor t : set.files_[i].tensors()) {
      t.file = i;
      set.tensors_.push_back(std::move(t));
    }
  }
  std::sort(set.tensors_.begin(), set.tensors_.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 1; i < set.tensors_.size(); ++i) {
    const auto &a = set.tensors_[i - 1], &b = set.tensors_[i];
    if (a.name == b.name) {
      throw Error(ErrorKind::format, fmt::format("the tensor '{}' is in two shards", a.name),
                  fmt::format("{} and {}", set.file_of(a), set.file_of(b)));
    }
  }
  for (const auto& [tensor, file] : map->items()) {
    const std::string& name = file.get_ref<const std::string&>();
    if (set.files_[shards[name]].find(tensor)) continue;
    throw Error(ErrorKind::format,
                fmt::format("the tensor '{}' is not in the shard '{}' that the index names", tensor, name),
                index);
  }
  return set;
}

const SafetensorsTensor* SafetensorsSet::find(std::string_view name) const {
  return find_by_name(tensors_, name);
}

const SafetensorsTensor& SafetensorsSet::at(std::string_view name) const {
  if (const SafetensorsTensor* t = find(name)) return *t;
  throw Error(ErrorKind::format, fmt::format("the tensor '{}' is missing", name), path_);
}

std::span<const SafetensorsTensor> SafetensorsSet::with_prefix(std::string_view prefix) const {
  const auto first =
      std::lower_bound(tensors_.begin(), tensors_.end(), prefix,
                       [](const SafetensorsTensor& t, std::string_view p) { return t.name < p; });
  const auto last = std::find_if(first, tensors_.end(),
                                 [&](const SafetensorsTensor& t) { return !t.name.starts_with(prefix); });
  return {first, last};
}

bool SafetensorsSet::unchanged() const {
  return std::all_of(files_.begin(), files_.end(), [](const auto& f) { return f.file().unchanged(); });
}

TensorView float_view(const SafetensorsTensor& tensor, const std::string& file) {
  const auto dtype = to_dtype(tensor.type);
  if (!dtype || tensor.shape.size() > 2) {
    throw Error(ErrorKind::unsupported,
                fmt::format("a {} was found where a float matrix or vector is needed", tensor.describe()),
                fmt::format("{}, tensor '{}'", file, tensor.name));
  }
  const int64_t cols = tensor.shape.empty() ? 1 : tensor.shape.back();
  const int64_t rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
  return TensorView(const_cast<std::byte*>(tensor.data), {rows, cols}, *dtype);
}

}  // namespace lorikeet
