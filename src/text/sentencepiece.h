#pragma once
// Tokenizers that are no tokenizer.json: SentencePiece's tokenizer.model.
#include <filesystem>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace lorikeet {

/// True if the folder holds a file that Tokenizer::from_folder would read or refuse by its kind.
bool has_tokenizer(const std::filesystem::path& folder);

/// A tokenizer.model, where it differs from what GGUF says about the same vocabulary (model "llama").
struct SentencePieceModel {
  GgufTokenizerSource vocabulary;
  /// Where a space is put in front of the text: of every stretch between special tokens (llama.cpp, Llama's
  /// "legacy"), or of the first one only. User-defined tokens are found after spaces became U+2581.
  bool prefix_every_stretch = false;
};

/// tokenizer.model (all its bytes) of a BPE model without normalization. Throws Error(unsupported) naming any
/// other type or rule, Error(format) for a broken file.
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& name);
/// The same with what tokenizer_config.json says about spaces in front.
SentencePieceModel read_sentencepiece_folder(const std::filesystem::path& folder);

/// No special tokens are added around a text: that is a matter of a folder's tokenizer_config.json.
Tokenizer sentencepiece_tokenizer(std::string_view bytes, const std::string& name);

}  // namespace lorikeet
