#pragma once
#include <string>

#include "io/json.h"
#include "model/files.h"

namespace lorikeet {

/// The tokenizer.json that means what a GGUF file's tokenizer metadata mean: byte-level BPE ("gpt2") and
/// SentencePiece BPE ("llama"). Throws Error(unsupported) naming the tokenizer model for any other.
Json hf_tokenizer_json(const GgufTokenizerSource& source);

/// SentencePiece joins the neighbours whose union has the best score. As a list of merges (pairs) that is
/// every way to cut a token in two tokens, by falling score; of equal ones the shorter left part first, as
/// the official converter does. Throws Error(format) unless there is a score for each token.
Json merges_by_score(const GgufTokenizerSource& source);

/// tokenizer_config.json beside it: special tokens, the class transformers should use, the chat template.
Json hf_tokenizer_config(const GgufTokenizerSource& source, int64_t max_positions);

/// Writes both (a tokenizer.json that lies in the metadata as it is), and chat_template.jinja, into an
/// existing folder, and checks that the written tokenizer gives the ids of the file's own on sample texts;
/// Error(internal) if not. Nothing for a file without a tokenizer.
void write_hf_tokenizer(const std::string& folder, const ModelFiles& gguf);

}  // namespace lorikeet
