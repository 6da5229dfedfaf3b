#pragma once
// Writes a model as a Hugging Face folder that transformers loads.
#include <functional>
#include <string>

#include "core/thread_pool.h"
#include "io/json.h"
#include "model/files.h"

namespace lorikeet {

/// Gives rows [first, last) of a tensor of the model (a vector is one row) as f32, cols values each. Called
/// from several threads at once.
using RowReader = std::function<void(const ExpectedTensor& tensor, int64_t first, int64_t last, float* out)>;

/// Writes config.json, the weights (sharded above 5 GB), the tokenizer, the chat template and
/// generation_config.json into the existing folder `folder`; put that into an AtomicFolder.
///
/// Everything but the weights comes from `like`, the model they descend from; for a GGUF file the tokenizer
/// is built from its metadata. Weights are rounded to `dtype` (f32, bf16, f16) a part at a time. Returns the
/// bytes of the weights. Throws Error(unsupported) naming tensor and value if a value is NaN, infinite or
/// beyond float16's range, Error(resource) if the disk is full.
uint64_t write_hf_model(const std::string& folder, const ModelFiles& like, DType dtype, const RowReader& rows,
                        ThreadPool& threads);

/// `config` as it stands in a folder of dense weights of `dtype`: quantization_config gone, the type changed.
Json dense_config(const Json& config, DType dtype);

}  // namespace lorikeet
