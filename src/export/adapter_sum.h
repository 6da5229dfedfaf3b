#pragma once
// Adapters to be merged, as one adapter without a scale of its own.
#include <map>
#include <string>
#include <vector>

#include "export/adapter_options.h"
#include "model/loader.h"

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
  /// The combined factors of one module.
  struct Factors {
    int64_t r = 0, in = 0, out = 0;
    std::vector<float> a, b;       // [r,in]; columns of B one after another: [r,out]
    std::vector<float> magnitude;  // [out] with DoRA
    std::vector<float> bias;       // [out] with lora_bias
    bool embedding = false;        // B A is the transpose of what the file holds
    void append(const TensorView& new_a, const TensorView& new_b, double factor);
    void add(const TensorView& new_a, const TensorView& new_b, double factor, const std::string& where);
  };

  /// Reads every adapter. Throws what load_adapter and select_targets throw, Error(usage) for a weight that
  /// is not finite or unequal ranks with `linear`, Error(unsupported) for DoRA, modules_to_save,
  /// trainable_token_indices and lora_bias with a weight or beside another adapter (scaled and replaced rows
  /// are no sum), and for lora_bias on a layer without a bias.
  AdapterSum(const ModelFiles& files, const std::vector<AdapterWeight>& adapters, Combination combination);

  bool empty() const { return modules_.empty() && saved_.empty() && tokens_.empty(); }
  size_t modules() const { return modules_.size(); }
  /// Whether tensors or rows of the base are replaced, beside what factors add.
  bool replaces() const { return !saved_.empty() || !tokens_.empty(); }
  const std::map<std::string, Factors>& by_module() const { return modules_; }  ///< by its path

  /// out += B A of the combination, rows [first, last) of the matrix `name` ("<path>.weight"), in f32, and
  /// with DoRA each row scaled to its magnitude; out += the bias of B for "<path>.bias"; the values
  /// themselves of tensors and rows that were trained in full; nothing if it has no adapter.
  void apply(const std::string& name, int64_t first, int64_t last, int64_t cols, float* out) const;

  /// What build_model needs to run base + this sum, and its values.
  const ModelOptions& model_options() const { return options_; }
  void fill(TrainableStore& store) const;

 private:
  void add(const TrainableStore& store, const Target& target, const AdapterWeight& adapter,
           Combination combination);
  void add(const TrainableStore& store, const AdapterWeight& adapter, const std::vector<Target>& targets,
           Combination combination);
  ModelOptions options_;
  std::map<std::string, Factors> modules_;            // by module path
  std::map<std::string, std::vector<float>> saved_;   // by tensor name
  std::map<std::string, std::vector<float>> tokens_;  // rows of options_.token_rows, by module path
};

}  // namespace lorikeet
