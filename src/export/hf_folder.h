#pragma once
// Writes a model as a Hugging Face folder that transformers loads.
#include <string>

#include "export/row_encoder.h"
#include "io/json.h"
#include "io/safetensors_writer.h"

namespace lorikeet {

/// How the tensors of a model are written: each as one or several tensors of the file.
class TensorWriter {
 public:
  virtual ~TensorWriter() = default;
  virtual std::vector<SafetensorsEntry> entries(const SourceTensor& tensor) const = 0;
  virtual void write(const SourceTensor& tensor, ShardedSafetensorsWriter& file) = 0;
};

/// Rounds what `rows` gives to `dtype` (f32, bf16, f16), a part at a time. Throws as encode_row.
class DenseTensorWriter : public TensorWriter {
 public:
  DenseTensorWriter(DType dtype, RowReader rows, ThreadPool& threads)
      : dtype_(dtype), rows_(std::move(rows)), threads_(threads) {}
  std::vector<SafetensorsEntry> entries(const SourceTensor& tensor) const override;
  void write(const SourceTensor& tensor, ShardedSafetensorsWriter& file) override;

 private:
  DType dtype_;
  RowReader rows_;
  ThreadPool& threads_;
};

/// Writes `config` as config.json, `tensors` (sharded above 5 GB), the tokenizer, the chat template and
/// generation_config.json into the existing folder `folder`; put that into an AtomicFolder.
///
/// Everything but configuration and weights comes from `like`, the model they descend from; for a GGUF file
/// the tokenizer is built from its metadata. One tensor is in memory at a time. Returns the bytes of the
/// weights. Throws what the writer throws, Error(resource) if the disk is full.
uint64_t write_hf_model(const std::string& folder, const ModelFiles& like, const Json& config,
                        std::span<const SourceTensor> tensors, TensorWriter& writer);
/// The same with dense weights of `dtype`.
uint64_t write_hf_model(const std::string& folder, const ModelFiles& like, DType dtype, const RowReader& rows,
                        ThreadPool& threads);

/// `config` as it stands in a folder of dense weights of `dtype`: quantization_config gone, the type changed.
Json dense_config(const Json& config, DType dtype);

}  // namespace lorikeet
