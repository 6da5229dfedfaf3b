#pragma once
#include <string>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace lorikeet::cli {

/// The tokenizer of `--model`: a folder (nothing but tokenizer.json is enough) or a .gguf file.
Tokenizer load_tokenizer(const std::string& model);

/// A template by built-in name or file. A file of that name wins.
ChatTemplate load_chat_template(const std::string& name_or_path);

/// The template that a run uses: `chosen` if there is one, else the tokenizer's own.
/// Throws Error(usage) naming chat_template if there is none.
ChatTemplate chat_template_of(const Tokenizer& tokenizer, const std::string& model,
                              const std::optional<std::string>& chosen);

}  // namespace lorikeet::cli
