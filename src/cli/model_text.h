#pragma once
#include <string>

#include "text/tokenizer.h"

namespace lorikeet::cli {

/// The tokenizer of `--model`: a folder (nothing but its tokenizer is enough) or a .gguf file.
Tokenizer load_tokenizer(const std::string& model);

}  // namespace lorikeet::cli
