#include "peft/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"

namespace lorikeet {

namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr const char* kTensorFile = "adapter_model.safetensors";

std::vector<float> to_floats(const SafetensorsTensor& t, const std::string& path) {
  const TensorView v = float_view(t, path);
  std::vector<float> values(static_cast<size_t>(v.count()));
  for (size_t i = 0; i < values.size(); ++i) {
    switch (v.dtype) {
      case DType::f32:
        values[i] = v.as<float>()[i];
        break;
      case DType::bf16:
        values[i] = to_float(v.as<Bf16>()[i]);
        break;
      case DType::f16:
        values[i] = to_float(v.as<F16>()[i]);
        break;
      default:
        throw Error(ErrorKind::unsupported, fmt::format("adapter tensor \"{}\" is {}", t.name, t.describe()),
                    path, "adapters are float32, float16 or bfloat16");
    }
    if (!std::isfinite(values[i]))
      throw Error(ErrorKind::format,
                  fmt::format("adapter tensor \"{}\" holds {} at element {}", t.name, values[i], i), path,
                  "train the adapter again");
  }
  return values;
}

/// Number of blocks that the names speak of: one more than the largest layer number.
int64_t blocks_named(const std::vector<AdapterTensor>& tensors) {
  int64_t blocks = 0;
  for (const AdapterTensor& t : tensors) {
    const size_t at = t.name.find(".layers.");
    if (at != std::string::npos) blocks = std::max<int64_t>(blocks, std::atoll(t.name.c_str() + at + 8) + 1);
  }
  return blocks;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t n : shape) text += (text.size() > 1 ? "," : "") + std::to_string(n);
  return text + "]";
}

bool is_b(const TrainableStore& store, const NamedTensor& t) {
  return store.parameters()[t.parameter].kind == ParameterKind::lora_b;
}

/// The tensor's shape in the file: with a start, of twice the rank.
std::vector<int64_t> file_shape(const TrainableStore& store, const NamedTensor& t) {
  std::vector<int64_t> shape = t.shape;
  if (store.start_of(t)) shape[is_b(store, t) ? 1 : 0] *= 2;
  return shape;
}

/// f(row of the store, whether of its start) in the order of the file, of a tensor that is held as the file
/// has it.
template <class F>
void for_each_file_row(const TrainableStore& store, const NamedTensor& t, const F& f) {
  const TensorView v = store.value_of(t), start = store.start_of(t);
  const bool beside = start && is_b(store, t);
  for (int64_t r = 0; r < v.rows; ++r) {
    f(v.row<float>(r), v.cols, false);
    if (beside) f(start.row<float>(r), v.cols, true);
  }
  for (int64_t r = 0; start && !beside && r < v.rows; ++r) f(start.row<float>(r), v.cols, true);
}

}  // namespace

std::vector<AdapterTensor> read_adapter_tensors(const std::string& folder) {
  const std::string path = folder + "/" + kTensorFile;
  if (!std::filesystem::exists(path) && std::filesystem::exists(folder + "/adapter_model.bin"))
    throw Error(ErrorKind::unsupported, "this adapter is stored as a Python pickle",
                folder + "/adapter_model.bin", "save it again with safe_serialization=True");
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<AdapterTensor> tensors;
  for (const SafetensorsTensor& t : file.tensors()) {
    if (t.name.compare(0, kPrefix.size(), kPrefix) != 0)
      throw Error(ErrorKind::format,
                  fmt::format("tensor \"{}\" is no PEFT adapter tensor: it does not start with \"{}\"",
                              t.name, kPrefix),
                  path);
    tensors.push_back({t.name.substr(kPrefix.size()), t.shape, to_floats(t, path)});
    file.release(t);
  }
  return tensors;
}

void load_adapter(TrainableStore& store, const std::vector<AdapterTensor>& tensors, const std::string& folder,
                  int64_t expected_blocks, const std::string& base) {
  const std::string path = folder + "/" + kTensorFile;
  const std::string fix = base.empty()
                              ? "use the base model that the adapter was trained on"
                              : fmt::format("this adapter was trained on another base: \"{}\"", base);
  std::map<std::string, const AdapterTensor*> by_name;
  for (const AdapterTensor& t : tensors) by_name[t.name] = &t;
  std::vector<std::string> missing;
  for (const NamedTensor& want : store.tensors()) {
    const auto it = by_name.find(want.name);
    if (it == by_name.end()) {
      missing.push_back(want.name);
      continue;
    }
    const AdapterTensor& have = *it->second;
    if (have.shape != file_shape(store, want))
      throw Error(ErrorKind::format,
                  fmt::format("adapter tensor \"{}\" is {}, this model needs {}", have.name,
                              shape_text(have.shape), shape_text(file_shape(store, want))),
                  path, fix);
    const float* next = have.values.data();
    if (want.transposed)
      TrainableStore::for_each_in_file_order(want, store.value_of(want), [&](float& x) { x = *next++; });
    const float sign = is_b(store, want) ? -1.0f : 1.0f;
    const auto take_row = [&](float* row, int64_t n, bool of_start) {
      if (!of_start) std::copy_n(next, n, row);
      for (int64_t k = 0; of_start && k < n; ++k)
        if (next[k] != sign * row[k])
          throw Error(
              ErrorKind::format,
              fmt::format("adapter tensor \"{}\" began from other values than this run", have.name), path,
              "resume on the machine and with the settings of that run, or start anew with --adapter");
      next += n;
    };
    if (!want.transposed) for_each_file_row(store, want, take_row);
    by_name.erase(it);
  }
  const std::string where =
      fmt::format("{} ({} blocks expected, {} found)", path, expected_blocks, blocks_named(tensors));
  if (!by_name.empty())
    throw Error(ErrorKind::format,
                fmt::format("{} of {} adapter tensors fit no layer of this model, e.g. \"{}\"",
                            by_name.size(), tensors.size(), by_name.begin()->first),
                where, fix);
  if (!missing.empty())
    throw Error(ErrorKind::format,
                fmt::format("{} of {} adapter tensors are missing, e.g. \"{}\"", missing.size(),
                            store.tensors().size(), missing.front()),
                where, fix);
}

uint64_t write_adapter(const std::string& folder, const TrainableStore& store, const AdapterConfig& config) {
  std::vector<SafetensorsEntry> entries;
  for (const NamedTensor& t : store.tensors())
    entries.push_back({std::string(kPrefix) + t.name, SafetensorsType::f32, file_shape(store, t)});
  SafetensorsWriter writer(folder + "/" + kTensorFile, entries);
  std::vector<float> negative;
  for (const NamedTensor& t : store.tensors()) {
    if (t.transposed) {
      std::vector<float> values;
      TrainableStore::for_each_in_file_order(t, store.value_of(t), [&](float x) { values.push_back(x); });
      writer.write(std::string(kPrefix) + t.name, std::span<const float>(values));
      continue;
    }
    for_each_file_row(store, t, [&](const float* row, int64_t n, bool of_start) {
      std::span<const float> values(row, static_cast<size_t>(n));
      if (of_start && is_b(store, t)) {
        negative.assign(values.begin(), values.end());
        for (float& x : negative) x = -x;
        values = negative;
      }
      writer.write(std::string(kPrefix) + t.name, values);
    });
  }
  writer.commit();
  const AdapterConfig written = store.keeps_start() ? config.with_start() : config;
  write_file_atomic(folder + "/adapter_config.json", written.to_json_text());
  return writer.file_bytes();
}

}  // namespace lorikeet
