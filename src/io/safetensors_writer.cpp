#include "io/safetensors_writer.h"

#include <algorithm>

#include "core/error.h"
#include "io/json.h"
#include "io/safetensors_header.h"

namespace lorikeet {

uint64_t bytes_of(const SafetensorsEntry& entry) {
  const bool valid = std::all_of(entry.shape.begin(), entry.shape.end(), [](int64_t n) { return n >= 0; });
  const auto bytes = valid ? safetensors_bytes(entry.type, entry.shape) : std::nullopt;
  LORIKEET_CHECK(bytes.has_value());
  return *bytes;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<SafetensorsEntry> entries,
                                     const SafetensorsMetadata& metadata)
    : entries_(std::move(entries)), file_(path) {
  std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    return a.type != b.type ? a.type > b.type : a.name < b.name;
  });
  std::string header = "{";
  const auto quoted = [](const std::string& s) { return to_text(Json(s)); };
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) header += quoted(key) + ":" + quoted(value) + ",";
    header.back() = '}';
    header += ',';
  }
  uint64_t at = 0;
  for (const auto& e : entries_) {
    const uint64_t bytes = bytes_of(e);
    LORIKEET_CHECK(e.name != "__metadata__");
    pending_.declare(e.name, at, bytes);
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},", quoted(e.name),
                          name_of(e.type), fmt::join(e.shape, ","), at, at + bytes);
    LORIKEET_CHECK(!__builtin_add_overflow(at, bytes, &at));
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t start = 8 + header.size();
  pending_.place_behind(start);
  file_bytes_ = start + at;
  file_.reserve(file_bytes_);
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  file_.append(length);
  file_.append(header);
}

void SafetensorsWriter::write(const std::string& name, std::span<const std::byte> bytes) {
  pending_.write(file_, name, bytes);
}

ShardedSafetensorsWriter::ShardedSafetensorsWriter(std::string folder,
                                                   const std::vector<SafetensorsEntry>& entries,
                                                   uint64_t max_shard_bytes,
                                                   const SafetensorsMetadata& metadata)
    : folder_(std::move(folder)) {
  std::vector<std::vector<SafetensorsEntry>> groups(1);
  uint64_t filled = 0;
  for (const auto& e : entries) {
    const uint64_t bytes = bytes_of(e);
    if (!groups.back().empty() && filled + bytes > max_shard_bytes) {
      groups.emplace_back();
      filled = 0;
    }
    filled += bytes;
    total_bytes_ += bytes;
    LORIKEET_CHECK(shard_of_.emplace(e.name, groups.size() - 1).second);
    groups.back().push_back(e);
  }
  shards_.reserve(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    shard_names_.push_back(groups.size() == 1
                               ? "model.safetensors"
                               : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, groups.size()));
    shards_.emplace_back(folder_ + "/" + shard_names_.back(), std::move(groups[i]), metadata);
  }
}

void ShardedSafetensorsWriter::write(const std::string& name, std::span<const std::byte> bytes) {
  const auto at = shard_of_.find(name);
  LORIKEET_CHECK(at != shard_of_.end());
  shards_[at->second].write(name, bytes);
}

void ShardedSafetensorsWriter::commit() {
  for (auto& shard : shards_) shard.commit();
  if (shards_.size() == 1) return;
  std::string index = fmt::format(
      "{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", total_bytes_);
  for (const auto& [name, shard] : shard_of_) {
    index += fmt::format("\n    {}: \"{}\",", to_text(Json(name)), shard_names_[shard]);
  }
  if (index.back() == ',') index.pop_back();
  index += "\n  }\n}\n";
  write_file_atomic(folder_ + "/model.safetensors.index.json", index);
}

}  // namespace lorikeet
