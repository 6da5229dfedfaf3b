#pragma once
// A model ready to run: the slots of every block, bound to weights and to what learns.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lora/trainable_store.h"
#include "model/spec.h"
#include "ops/attention.h"
#include "ops/head.h"
#include "ops/slots.h"

namespace lorikeet {

/// Absent modules are empty. A fused projection is a group of one.
struct BlockSlots {
  NormSlot input_norm, attention_out_norm, mlp_norm, mlp_out_norm, q_norm, k_norm;
  LinearGroup qkv, o, gate_up, down;
  ExpertsSlot experts;  ///< in place of gate_up and down
  AttentionSpec attention;
  HeadLayout q_heads, k_heads, v_heads;  ///< in a fused qkv projection
  bool learns() const {
    for (const NormSlot* n : {&input_norm, &attention_out_norm, &mlp_norm, &mlp_out_norm, &q_norm, &k_norm})
      if (n->learns()) return true;
    return qkv.learns() || o.learns() || gate_up.learns() || down.learns();
  }
};

struct Model {
  ModelSpec spec;
  DType compute = DType::f32;
  EmbeddingSlot embedding;         ///< [V,C]
  double neftune_noise_alpha = 0;  ///< of the noise added to embeddings while training; 0: none
  EmbeddingSlot positions_table;   ///< [positions,C] learned positions, or empty
  HeadSlot head;
  std::vector<BlockSlots> blocks;
  int64_t positions = 0;   ///< the longest row that can run
  RopeTable rope[kRopes];  ///< [positions, rotary_dim/2]; empty where the frequencies depend on the length
  Buffer rope_memory;
};

/// Where weights come from: the loader, or a test. All names are Hugging Face tensor names with ".weight" or
/// ".bias".
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// A matrix in the format in which it stays in memory. On a dry run only shape, format and type are set.
  /// Throws Error(format), naming the tensor, if it is missing or its shape is not [rows, cols].
  virtual Weight matrix(const std::string& name, int64_t rows, int64_t cols) = 0;
  /// A vector (norm weight, bias) as [1,n].
  virtual TensorView vector(const std::string& name, int64_t n) = 0;
  /// The memory of a dense matrix that was asked for before, to change rows of it; without memory from a
  /// source that knows sizes only.
  virtual TensorView writable(const std::string& name) const;
  /// The values of a matrix were copied and are not needed for now: what is mapped of it may leave the
  /// memory.
  virtual void release(const std::string& /*name*/) const {}
};

/// The adapter of one module.
struct AdapterChoice {
  int64_t r = 0;
  double scale = 1;  ///< alpha / r
  bool dora = false;
  bool bias = false;  ///< of B
};

struct ModelOptions {
  DType compute = DType::f32;
  int64_t positions = 0;                          ///< rope table rows: the longest row that will run
  bool train_base = false;                        ///< full fine-tuning: every weight is a parameter
  std::set<std::string> modules_to_save;          ///< paths of modules whose own weights are parameters
  std::map<std::string, AdapterChoice> adapters;  ///< module path -> adapter
  /// Path of the embedding or of an untied head -> its rows that learn, in the order of the adapter's file.
  std::map<std::string, std::vector<int32_t>> token_rows;
  double lora_dropout = 0;
  double neftune_noise_alpha = 0;
};

/// Paths of all linear modules in model order, the head and what belongs to experts not among them: what
/// "all-linear" means.
std::vector<std::string> linear_module_paths(const ModelSpec& spec);
/// Paths of the embedding and the head: what an adapter targets by name only.
std::vector<std::string> embedding_module_paths(const ModelSpec& spec);

/// True if adapters set head and embedding of a model apart that ties them: one of them then has values that
/// the other has not.
bool unties(const ModelSpec& spec, const ModelOptions& options);

/// Builds the model over `source` and declares what learns in `store`; allocates the store (dry: sizes only).
/// `with_gradients`: gradients too. Masters of base weights are filled from `source`, where it
/// has values. Throws Error(usage) if an adapter's module path does not exist, Error(unsupported) if a
/// quantized matrix should learn, Error(format) from the source.
Model build_model(const ModelSpec& spec, WeightSource& source, const ModelOptions& options,
                  TrainableStore& store, bool with_gradients, bool dry);

}  // namespace lorikeet
