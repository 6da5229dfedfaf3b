#include "cli/model_text.h"

#include <filesystem>

#include "core/error.h"
#include "io/json.h"
#include "model/files.h"

namespace lorikeet::cli {

namespace fs = std::filesystem;

Tokenizer load_tokenizer(const std::string& model) {
  std::error_code ignored;
  if (fs::is_directory(model, ignored) && fs::exists(fs::path(model) / "tokenizer.json", ignored))
    return Tokenizer::from_folder(model);
  return ModelFiles::open(model).tokenizer();
}

ChatTemplate load_chat_template(const std::string& name_or_path) {
  std::error_code ignored;
  const auto built_in = built_in_chat_template(name_or_path);
  if (built_in && !fs::exists(name_or_path, ignored)) return ChatTemplate(*built_in, name_or_path);
  constexpr size_t kMostBytes = 4 << 20;
  return ChatTemplate(read_text_file(name_or_path, kMostBytes), name_or_path);
}

ChatTemplate chat_template_of(const Tokenizer& tokenizer, const std::string& model,
                              const std::optional<std::string>& chosen) {
  if (chosen) return load_chat_template(*chosen);
  if (tokenizer.chat_template()) return ChatTemplate(*tokenizer.chat_template(), "chat template of " + model);
  throw Error(ErrorKind::usage, "the model has no chat template", model,
              "name one: --chat-template chatml, llama3, alpaca or a Jinja file");
}

}  // namespace lorikeet::cli
