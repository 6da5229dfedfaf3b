#pragma once
// Adapters to be merged, as one adapter without a scale of its own.
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

/// How several adapters become one; names and formulas of PEFT's add_weighted_adapter, with w the weight and
/// s the scale of each.
enum class Combination {
  cat,    ///< factors side by side: the sum of w s B A, exactly
  linear  ///< sum of sqrt(w s) B times sum of sqrt(w s) A, a rough approximation; ranks must be equal
};

class AdapterSum {
 public:
  /// Reads every adapter. Throws what load_adapter and select_targets throw, Error(usage) for a weight that
  /// is not finite or unequal ranks with `linear`, Error(unsupported) for an adapter with modules_to_save and
  /// for DoRA with a weight or beside another adapter: its scaled rows are no sum.
  AdapterSum(const ModelFiles& files, const std::vector<AdapterWeight>& adapters, Combination combination);

  bool empty() const { return modules_.empty(); }
  size_t modules() const { return modules_.size(); }

  /// out += B A of the combination, rows [first, last) of the matrix `name` ("<path>.weight"), in f32, and
  /// with DoRA each row scaled to its magnitude; nothing if it has no adapter.
  void apply(const std::string& name, int64_t first, int64_t last, int64_t cols, float* out) const;

  /// What build_model needs to run base + this sum, and its values.
  std::map<std::string, AdapterChoice> choices() const;
  void fill(TrainableStore& store) const;

 private:
  struct Module {
    int64_t r = 0, in = 0, out = 0;
    std::vector<float> a, b;       // [r,in]; columns of B one after another: [r,out]
    std::vector<float> magnitude;  // [out] with DoRA
    void append(const TensorView& new_a, const TensorView& new_b, double factor);
    void add(const TensorView& new_a, const TensorView& new_b, double factor, const std::string& where);
  };
  void add(const TrainableStore& store, const Target& target, const AdapterWeight& adapter,
           Combination combination);
  std::map<std::string, Module> modules_;  // by module path
};

}  // namespace lorikeet
