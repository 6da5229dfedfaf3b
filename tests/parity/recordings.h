#pragma once
// The recordings under tests/fixtures/models (made by tools/make_model_fixtures.py): one list for all
// families.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"
#include "io/safetensors.h"

namespace lorikeet::testing {

/// One entry of "dumps", "training" or "weighted" in a folder's parity.json.
struct Recording {
  std::string folder;  ///< absolute
  std::string family;  ///< name of the folder
  Json entry;

  std::string path(const std::string& name) const { return folder + "/" + name; }
  std::string name() const { return entry["name"].get<std::string>(); }
  std::string model() const {
    return entry.contains("model") ? path(entry["model"].get<std::string>()) : folder;
  }
  std::optional<std::string> adapter() const {
    if (entry["adapter"].is_null()) return std::nullopt;
    return path(entry["adapter"].get<std::string>());
  }
};

/// All recordings of a kind, families in alphabetical order.
inline std::vector<Recording> recordings(const std::string& kind) {
  std::vector<std::string> folders;
  for (const auto& f : std::filesystem::directory_iterator(std::string(LORIKEET_FIXTURES) + "/models"))
    if (std::filesystem::exists(f.path() / "parity.json")) folders.push_back(f.path().string());
  std::sort(folders.begin(), folders.end());
  std::vector<Recording> found;
  for (const std::string& folder : folders) {
    const Json all = read_json_file(folder + "/parity.json");
    for (const Json& entry : all.value(kind, Json::array()))
      found.push_back({folder, std::filesystem::path(folder).filename().string(), entry});
  }
  return found;
}

/// "llama_tied__expected_full": the name of a parametrised test.
inline std::string test_name(const ::testing::TestParamInfo<Recording>& info) {
  std::string name = info.param.family + "__" + info.param.name();
  if (info.param.entry.contains("base_format"))
    name += "_" + info.param.entry["base_format"].get<std::string>();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

/// Squared error over the squared size of what was recorded.
class Nmse {
 public:
  void add(double found, double recorded) {
    error_ += (found - recorded) * (found - recorded);
    size_ += recorded * recorded;
  }
  double value() const { return size_ > 0 ? error_ / size_ : error_; }

 private:
  double error_ = 0, size_ = 0;
};

inline void PrintTo(const Recording& r, std::ostream* out) { *out << r.family << "/" << r.name(); }

}  // namespace lorikeet::testing
