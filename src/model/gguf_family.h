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

/// A number of the configuration.
struct GgufField {
  enum class Kind : uint8_t { integer, real };
  enum class Need : uint8_t { required, optional, derived };  ///< derived: written, told by others when read
  const char* key;     ///< in the file, after the architecture's prefix
  const char* config;  ///< in config.json
  Kind kind;
  Need need;
  std::optional<double> (*of)(const ModelSpec&);  ///< nothing: the key is left out
};

/// A GGUF architecture and the Hugging Face class that it is.
struct GgufFamily {
  const char* gguf;
  const char* architecture;
  const char* model_type;
  bool experts;       ///< a mixture: llama.cpp has one name for Llama and Mixtral
  bool permuted;      ///< rows of query and key lie in the order of llama.cpp's neighbour rope
  float norms_added;  ///< to every norm weight
  std::span<const GgufField> fields;  ///< beside those that all families have
  /// Completes the configuration with what the file does not say; `prefix` is that of its keys. May be null.
  void (*complete)(const GgufFile& file, const std::string& prefix, Json& config);

  float added_to(const ExpectedTensor& t) const { return t.name.ends_with("norm.weight") ? norms_added : 0; }
};

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

/// The divisors of the rope frequencies [rotary_dim/2] by which GGUF says Llama 3's scaling.
std::vector<float> gguf_rope_divisors(const RopeSpec& rope);
inline constexpr const char* kGgufRopeDivisors = "rope_freqs.weight";

}  // namespace lorikeet
