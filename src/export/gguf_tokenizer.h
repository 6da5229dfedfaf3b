#pragma once
#include "io/gguf_writer.h"
#include "model/files.h"

namespace lorikeet {

/// What GGUF says about the tokenizer of a Hugging Face folder; `file` is empty where the folder has none.
/// A vocabulary smaller than the model's gets unused tokens at its end. Throws Error(unsupported) naming the
/// part for a tokenizer that GGUF cannot express.
GgufTokenizerSource gguf_tokenizer_of(const ModelFiles& folder);

void write_gguf_tokenizer(const GgufTokenizerSource& source, GgufWriter& file);

}  // namespace lorikeet
