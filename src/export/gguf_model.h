#pragma once
// Writes a model, or adapters, as llama.cpp reads them. Names and metadata come from the tables by which GGUF
// files are read (model/gguf_family.h).
#include <functional>
#include <string>

#include "export/adapter_sum.h"
#include "export/row_encoder.h"
#include "io/gguf_writer.h"

namespace lorikeet {

/// The type in which a tensor is written where `wanted` is asked for: vectors, routers and learned positions
/// in f32, a matrix whose rows are no whole blocks in float16, embedding and head no smaller than Q8_0.
WeightType gguf_tensor_type(const ExpectedTensor& tensor, const ModelSpec& spec, WeightType wanted);

/// Declares the metadata and tensors of `like`, checks that they will be read as the same model and the same
/// tokenizer, and writes the weights; commit() is the caller's. Metadata of a GGUF file are taken over, those
/// of a folder are made from its configuration and its tokenizer (none: a model without vocabulary). Returns
/// the bytes of the weights.
///
/// Throws Error(unsupported) for an architecture without a GGUF name, a configuration or a tokenizer that
/// GGUF cannot express, and as encode_row.
uint64_t write_gguf_model(GgufWriter& file, const ModelFiles& like, WeightType type, const RowReader& rows,
                          ThreadPool& threads);

/// Writes the combined adapter as llama.cpp's LoRA file, its scale folded into B (no alpha). Returns the
/// bytes of its tensors. Throws Error(unsupported) for DoRA and an architecture without a GGUF name.
uint64_t write_gguf_adapter(GgufWriter& file, const ModelFiles& base, DType dtype, const AdapterSum& adapters,
                            ThreadPool& threads);

}  // namespace lorikeet
