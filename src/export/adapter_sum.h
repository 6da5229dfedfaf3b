#pragma once
// Adapters to be merged, as one adapter: their factors side by side, every scale and weight multiplied into
// B.
#include <map>
#include <string>
#include <vector>

#include "model/loader.h"
#include "peft/adapter_files.h"

namespace lorikeet {

/// An adapter folder and how much of it to add.
struct AdapterWeight {
  std::string folder;
  double weight = 1;
};

class AdapterSum {
 public:
  /// Reads every adapter. Throws what load_adapter and select_targets throw, Error(usage) for a weight that
  /// is not finite, Error(unsupported) for an adapter with modules_to_save.
  AdapterSum(const ModelFiles& files, const std::vector<AdapterWeight>& adapters);

  bool empty() const { return modules_.empty(); }
  size_t modules() const { return modules_.size(); }

  /// out += weight * s * B A, rows [first, last) of the matrix `name` ("<path>.weight"), in f32; nothing if
  /// it has no adapter.
  void add_rows(const std::string& name, int64_t first, int64_t last, int64_t cols, float* out) const;

  /// What build_model needs to run base + this sum, and its values.
  std::map<std::string, AdapterChoice> choices() const;
  void fill(TrainableStore& store) const;

 private:
  struct Module {
    int64_t r = 0, in = 0, out = 0;
    std::vector<float> a, b;  // [r,in]; columns of B one after another: [r,out]
  };
  void add(const ModelFiles& files, const AdapterWeight& adapter);
  std::map<std::string, Module> modules_;  // by module path
};

}  // namespace lorikeet
