#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/atomic_folder.h"
#include "io/folder.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "peft/adapter_files.h"
#include "train/event_file.h"

namespace lorikeet {

namespace fs = std::filesystem;

namespace {

constexpr const char* kManifest = "checkpoint.json";
constexpr const char* kTensors = "training_state.safetensors";
constexpr const char* kState = "trainer_state.json";
constexpr std::string_view kFolderPrefix = "checkpoint-";
constexpr int64_t kLayout = 1;

constexpr const char* kValuePrefix = "value.";

/// Base tensors: adapters have PEFT's file.
template <class F>
void for_each_base(const TrainableStore& store, const F& f) {
  if (!store.only_base()) return;
  for (const NamedTensor& t : store.tensors()) f(t, store.value_of(t));
}

/// The bytes of one row.
std::span<std::byte> row_bytes(const TensorView& v, int64_t row) {
  const size_t element = size_of(v.dtype);
  return {static_cast<std::byte*>(v.data) + static_cast<size_t>(row * v.stride) * element,
          static_cast<size_t>(v.cols) * element};
}

void write_tensors(const std::string& path, const TrainableStore& store, const Optimizer& optimizer) {
  std::vector<SafetensorsEntry> entries;
  for_each_base(store, [&](const NamedTensor& t, const TensorView& v) {
    entries.push_back({kValuePrefix + t.name, to_safetensors_type(v.dtype), t.shape});
  });
  for (const StateTensor& t : optimizer.state()) entries.push_back({t.name, t.type, t.shape});
  SafetensorsWriter writer(path, entries);
  for_each_base(store, [&](const NamedTensor& t, const TensorView& v) {
    for (int64_t row = 0; row < v.rows; ++row)
      writer.write(kValuePrefix + t.name, std::span<const std::byte>(row_bytes(v, row)));
  });
  for (const StateTensor& t : optimizer.state())
    for (size_t at = 0; at < t.bytes; at += Optimizer::kReleaseBytes) {
      const size_t n = std::min(t.bytes - at, Optimizer::kReleaseBytes);
      writer.write(t.name, std::span<const std::byte>(optimizer.data(t) + at, n));
      optimizer.release(t, at, n);
    }
  writer.commit();
}

/// The tensor of that name. Throws Error(format) if it is missing or has another type or shape.
const SafetensorsTensor& tensor_of(const SafetensorsFile& file, const std::string& name, SafetensorsType type,
                                   const std::vector<int64_t>& shape) {
  const SafetensorsTensor* found = file.find(name);
  if (!found || found->type != type || found->shape != shape)
    throw Error(ErrorKind::format, fmt::format("the checkpoint has no \"{}\" of this run's shape", name),
                file.path(), "resume with the settings of that run");
  return *found;
}

void read_base_values(const SafetensorsFile& file, const TrainableStore& store) {
  for_each_base(store, [&](const NamedTensor& t, const TensorView& v) {
    const SafetensorsTensor& from =
        tensor_of(file, kValuePrefix + t.name, to_safetensors_type(v.dtype), t.shape);
    for (int64_t row = 0; row < v.rows; ++row) {
      const std::span<std::byte> to = row_bytes(v, row);
      std::memcpy(to.data(), from.data + static_cast<size_t>(row) * to.size(), to.size());
    }
    file.release(from);
  });
}

/// Read in pieces, so that the file's pages do not add to this process's memory.
std::string checksum_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> piece(size_t{1} << 18);
  uint32_t crc = 0;
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())), file.gcount() > 0)
    crc = crc32c({piece.data(), static_cast<size_t>(file.gcount())}, crc);
  if (!file.eof()) throw Error(ErrorKind::resource, fmt::format("cannot read '{}'", path), path);
  return fmt::format("{:08x}", crc);
}

Json read_manifest(const std::string& path) {
  const std::string file = path + "/" + kManifest;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    throw Error(ErrorKind::usage, fmt::format("checkpoint folder '{}' does not exist", path),
                "resume_from_checkpoint");
  if (!fs::exists(file, ignored))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' is no checkpoint of Lorikeet: it has no {}", path, kManifest),
                "resume_from_checkpoint", "give a checkpoint-<step> folder, or auto");
  Json json = read_json_file(file);
  if (!json.is_object() || !json.contains("files") || !json["files"].is_object() ||
      !json.contains("identity") || !json["identity"].is_object())
    throw Error(ErrorKind::format, "the checkpoint's list of files is damaged", file,
                "resume from an older checkpoint");
  if (json.value("layout", Json()) != kLayout)
    throw Error(ErrorKind::unsupported, "the checkpoint was written by another version of Lorikeet", file);
  return json;
}

void check_files(const std::string& path) {
  const Json manifest = read_manifest(path);
  for (const auto& [name, recorded] : manifest["files"].items()) {
    const std::string file = fmt::format("{}/{}", path, name);
    std::error_code ignored;
    if (name.find('/') != std::string::npos)
      throw Error(ErrorKind::format, "the checkpoint's list of files is damaged", path);
    if (!fs::exists(file, ignored))
      throw Error(ErrorKind::format, fmt::format("the checkpoint lacks {}", name), file,
                  "resume from an older checkpoint");
    if (const std::string found = checksum_of(file); recorded != found)
      throw Error(ErrorKind::format,
                  fmt::format("the checkpoint is damaged: {} has checksum {}, {} was written", name, found,
                              lorikeet::to_text(recorded)),
                  file, "resume from an older checkpoint");
  }
}

}  // namespace

std::vector<CheckpointPlace> list_checkpoints(const std::string& folder) {
  std::vector<CheckpointPlace> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kFolderPrefix) || !entry.is_directory(error)) continue;
    int64_t step = 0;
    const char* end = name.data() + name.size();
    const auto [rest, failed] = std::from_chars(name.data() + kFolderPrefix.size(), end, step);
    if (failed == std::errc() && rest == end && step >= 0)
      found.push_back({step, fmt::format("{}/{}", folder, name)});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

std::string save_checkpoint(const std::string& folder, const RunState& state, const TrainableStore& store,
                            const Optimizer& optimizer, const std::optional<AdapterConfig>& adapter,
                            const RunIdentity& identity) {
  AtomicFolder target(fmt::format("{}/{}{}", folder, kFolderPrefix, state.global_step),
                      AtomicFolder::IfExists::replace);
  const std::string& path = target.path();
  std::vector<std::string> names = {kTensors, kState};
  if (adapter) {
    write_adapter(path, store, *adapter);
    names.insert(names.end(), {"adapter_config.json", "adapter_model.safetensors"});
  }
  write_tensors(path + "/" + kTensors, store, optimizer);
  write_file_atomic(path + "/" + kState, to_text(state));
  Json manifest = Json::object();
  manifest["layout"] = kLayout;
  manifest["step"] = state.global_step;
  manifest["identity"] = Json::object();
  for (const auto& [key, value] : identity) manifest["identity"][key] = value;
  manifest["files"] = Json::object();
  std::sort(names.begin(), names.end());
  for (const std::string& name : names)
    manifest["files"][name] = checksum_of(fmt::format("{}/{}", path, name));
  write_file_atomic(path + "/" + kManifest, lorikeet::to_text(manifest, 2) + "\n");
  target.commit();
  return target.target();
}

void prune_checkpoints(const std::string& folder, int64_t limit, const std::string& keep) {
  if (limit <= 0) return;
  std::vector<CheckpointPlace> all = list_checkpoints(folder);
  size_t left = all.size();
  for (const CheckpointPlace& c : all) {
    if (left <= static_cast<size_t>(limit)) return;
    if (c.path == keep || &c == &all.back()) continue;
    remove_folder(c.path);
    --left;
  }
}

RunState read_checkpoint_state(const std::string& path) {
  check_files(path);
  const std::string file = path + "/" + kState;
  return parse_run_state(read_json_file(file, {.max_bytes = size_t{1} << 30}), file);
}

void check_identity(const std::string& path, const RunIdentity& identity) {
  const Json manifest = read_manifest(path);
  for (const auto& [key, value] : identity) {
    const auto found = manifest["identity"].find(key);
    if (found == manifest["identity"].end() || *found == value) continue;
    throw Error(ErrorKind::usage,
                fmt::format("the checkpoint is of another run: its {} is {}, now it is {}", key,
                            lorikeet::to_text(*found), value),
                path, "resume with the run.yaml of that run, or start anew without resume_from_checkpoint");
  }
}

void load_checkpoint_tensors(const std::string& path, TrainableStore& store, const Optimizer& optimizer) {
  load_checkpoint_values(path, store);
  const SafetensorsFile file = SafetensorsFile::open(path + "/" + kTensors);
  for (const StateTensor& t : optimizer.state()) {
    const SafetensorsTensor& from = tensor_of(file, t.name, t.type, t.shape);
    for (size_t at = 0; at < t.bytes; at += Optimizer::kReleaseBytes) {
      const size_t n = std::min(t.bytes - at, Optimizer::kReleaseBytes);
      std::memcpy(optimizer.data(t) + at, from.data + at, n);
      optimizer.release(t, at, n);
    }
    file.release(from);
  }
}

void load_checkpoint_values(const std::string& path, TrainableStore& store) {
  if (fs::exists(path + "/adapter_model.safetensors"))
    load_adapter(store, read_adapter_tensors(path), path, 0, "");
  else
    read_base_values(SafetensorsFile::open(path + "/" + kTensors), store);
}

std::optional<CheckpointPlace> newest_whole_checkpoint(const std::string& folder,
                                                       std::vector<std::string>& skipped) {
  std::vector<CheckpointPlace> all = list_checkpoints(folder);
  for (auto c = all.rbegin(); c != all.rend(); ++c) {
    try {
      check_files(c->path);
      return *c;
    } catch (const Error& e) {
      skipped.push_back(fmt::format("{}: {}", c->path, e.message()));
    }
  }
  return std::nullopt;
}

}  // namespace lorikeet
