#pragma once
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "io/safetensors_writer.h"

namespace lorikeet::testing {

/// The tensors of a checkpoint, to be changed and written again.
class CheckpointTensors {
 public:
  struct Tensor {
    SafetensorsType type;
    std::vector<int64_t> shape;
    std::string bytes;
  };
  explicit CheckpointTensors(const std::string& folder) : path_(folder + "/model.safetensors") {
    const SafetensorsFile file = SafetensorsFile::open(path_);
    for (const SafetensorsTensor& t : file.tensors())
      all[t.name] = {t.type, t.shape, std::string(reinterpret_cast<const char*>(t.data), t.bytes)};
  }
  void save() const {
    std::vector<SafetensorsEntry> entries;
    for (const auto& [name, t] : all) entries.push_back({name, t.type, t.shape});
    SafetensorsWriter writer(path_, entries);
    for (const auto& [name, t] : all) writer.write(name, std::as_bytes(std::span<const char>(t.bytes)));
    writer.commit();
  }
  void put_float(const std::string& name, size_t at, float x) {
    std::memcpy(all.at(name).bytes.data() + 4 * at, &x, 4);
  }
  std::map<std::string, Tensor> all;

 private:
  std::string path_;
};

}  // namespace lorikeet::testing
