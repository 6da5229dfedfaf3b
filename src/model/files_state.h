#pragma once
// Inside of ModelFiles, shared by its readers: one file per kind of model.
#include <map>

#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/files.h"

namespace lorikeet {

struct ModelFiles::State {
  std::string path;
  std::string name;
  std::optional<SafetensorsSet> safetensors;  // one of the two is set
  std::optional<GgufFile> gguf;
  HfConfig config{Json::object(), ""};
  ModelSpec spec;
  std::vector<SourceTensor> tensors;
  std::map<std::string, size_t, std::less<>> by_name;  // a mixture of experts has tens of thousands
  std::vector<std::string> unexpected;
  Quantization quantization;
  Json generation_config = Json::object();
  std::vector<int32_t> eos;

  const std::vector<MappedFile const*> mapped() const;
};

/// Fills everything but path. Each throws as ModelFiles::open.
void open_hf_folder(const std::string& folder, ModelFiles::State& state);
void open_gguf_model(const std::string& file, ModelFiles::State& state);

/// config.json made from GGUF metadata (files_gguf_config.cpp).
HfConfig gguf_config(const GgufFile& file);
GgufTokenizerSource gguf_tokenizer_source(const GgufFile& file);
/// The id in "tokenizer.ggml.<name>", if there is one.
std::optional<int32_t> gguf_token_id(const GgufFile& file, const std::string& name);

/// Ids in `key` of a configuration: a number or a list.
std::vector<int32_t> token_ids(const Json& config, const std::string& key, const std::string& where);

/// Collects what is missing or misshapen, to name all of it in one error.
class TensorComplaints {
 public:
  void missing(const std::string& name) { missing_.push_back(name); }
  void wrong_shape(const std::string& name, const std::vector<int64_t>& found,
                   const std::vector<int64_t>& wanted);
  /// Throws Error(format) if there was anything.
  void raise(const std::string& where, size_t expected_count) const;

 private:
  std::vector<std::string> missing_, wrong_;
};

}  // namespace lorikeet
