#pragma once
// What llama.cpp calls architectures, numbers of a configuration and tensors: one set of tables, by which
// GGUF files are read (files_gguf*.cpp) and written (export/gguf_model.cpp).
#include <map>
#include <optional>
#include <span>
#include <string>

#include "io/gguf.h"
#include "io/json.h"
#include "model/files.h"
#include "model/spec.h"
#include "quant/encode.h"

namespace lorikeet {

/// A number of the configuration, or a choice (0 or 1).
struct GgufField {
  enum class Kind : uint8_t { integer, real, choice };
  enum class Need : uint8_t { required, optional, derived };  ///< derived: written, told by others when read
  const char* key;     ///< in the file, after the architecture's prefix
  const char* config;  ///< in config.json
  Kind kind;
  Need need;
  std::optional<double> (*of)(const ModelSpec&);  ///< nothing: the key is left out
};

/// What a tensor is called.
struct GgufTensorName {
  const char* gguf;  ///< {} is the layer; one tensor holds all experts
  std::string ModuleNames::*module;
  RowOrder order = RowOrder::as_is;
};

/// A GGUF architecture and the Hugging Face class that it is.
struct GgufFamily {
  const char* gguf;
  const char* architecture;
  const char* model_type;
  bool experts = false;       ///< a mixture: llama.cpp has one name for Llama and Mixtral
  bool permuted = false;      ///< rows of query and key lie in the order of llama.cpp's neighbour rope
  bool partial_rope = false;  ///< a part of each head may turn
  bool longrope = false;      ///< has two sets of divisors, for short and for long contexts
  float norms_added = 0;      ///< to every norm weight
  std::span<const GgufField> fields = {};  ///< beside those that all families have
  /// Other names than those of all families, for a model that has each of these modules.
  std::span<const GgufTensorName> names = {};
  /// Completes the configuration with what the file does not say; `prefix` is that of its keys. May be null.
  void (*complete)(const GgufFile& file, const std::string& prefix, Json& config) = nullptr;
  /// What a model has that llama.cpp's architecture has no place for, or null. May be null.
  const char* (*beyond)(const ModelSpec& spec) = nullptr;

  float added_to(const ExpectedTensor& t) const { return t.name.ends_with("norm.weight") ? norms_added : 0; }
};

/// Of several classes that are one architecture of llama.cpp, the first is what a file is read as.
std::span<const GgufFamily> gguf_families();

/// The fields of every family.
std::span<const GgufField> gguf_common_fields();
/// The family of a file. Throws Error(unsupported) naming the architecture and those that are known.
const GgufFamily& gguf_family(const GgufFile& file);
/// The family as which an architecture is written, or null.
const GgufFamily* gguf_family_of(std::string_view architecture);

/// Ids and flags of the tokenizer, behind "tokenizer.ggml.".
template <class T>
struct GgufTokenizerKey {
  const char* key;
  std::optional<T> GgufTokenizerSource::*member;
};
std::span<const GgufTokenizerKey<int32_t>> gguf_tokenizer_ids();
std::span<const GgufTokenizerKey<bool>> gguf_tokenizer_flags();
/// The tokenizer's model in a file without one.
inline constexpr const char* kGgufNoTokenizer = "no_vocab";
bool gguf_has_tokenizer(const GgufFile& file);

/// Where a tensor lies in a file.
struct GgufPlace {
  std::string name;
  RowOrder order = RowOrder::as_is;
  int64_t part = 0, parts = 1;  ///< of the tensor's slowest dimension: the experts
  /// The whole tensor's shape, of a part's.
  std::vector<int64_t> shape(const ExpectedTensor& t) const {
    std::vector<int64_t> all{t.rows, t.cols};
    if (t.role == TensorRole::vector) all = {t.cols};
    if (parts > 1) all.insert(all.begin(), parts);
    return all;
  }
};
/// By Hugging Face name.
std::map<std::string, GgufPlace> gguf_places(const ModelSpec& spec, const GgufFamily& family);

/// How a tensor type of GGUF is held, and the reverse; nothing for a type without a counterpart.
std::optional<WeightType> weight_type(GgufType type);
std::optional<GgufType> gguf_type(WeightType type);

// Divisors of the rope frequencies, tensors of [rotary_dim/2]. llama.cpp takes the long ones of longrope
// where its context is longer than the original one, whatever the length of the text.
inline constexpr const char* kGgufRopeDivisors = "rope_freqs.weight";
inline constexpr const char* kGgufLongDivisors = "rope_factors_long.weight";
inline constexpr const char* kGgufShortDivisors = "rope_factors_short.weight";
/// Those of Llama 3's scaling.
std::vector<float> gguf_rope_divisors(const RopeSpec& rope);
/// By the name of the tensor; none for the scalings that are said by numbers.
std::map<std::string, std::vector<float>> gguf_rope_tensors(const RopeSpec& rope);

}  // namespace lorikeet
