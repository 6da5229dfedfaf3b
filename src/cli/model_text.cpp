#include "cli/model_text.h"

#include <filesystem>

#include "model/files.h"
#include "text/sentencepiece.h"

namespace lorikeet::cli {

namespace fs = std::filesystem;

Tokenizer load_tokenizer(const std::string& model) {
  std::error_code ignored;
  if (fs::is_directory(model, ignored) && has_tokenizer(model)) return Tokenizer::from_folder(model);
  return ModelFiles::open(model).tokenizer();
}

}  // namespace lorikeet::cli
