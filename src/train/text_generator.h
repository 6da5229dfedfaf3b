#pragma once
// The parts inside a TextGenerator, for commands that need more than text.
#include "generate/generator.h"
#include "lorikeet/text_generator.h"
#include "text/chat_template.h"
#include "train/loaded_model.h"

namespace lorikeet {

struct TextGenerator::State {
  State(const RunConfig& config, int64_t max_positions);

  RunConfig config;  ///< resolved for use
  ModelFiles files;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;
  std::optional<int32_t> end_of_turn;  ///< of the chat template
  LoadedModel loaded;
  Generator generator;

  /// Another adapter on the same weights; `next` is one of configs_for_use. Throws as
  /// LoadedModel::use_adapter and check_fingerprint.
  void use_adapter(const RunConfig& next);

  /// The model's template or the one that chat_template names. Throws Error(usage) if there is none.
  const ChatTemplate& require_template() const;
  /// The settings with the model's own stop tokens and the one that ends a turn in the chat template.
  GenerateOptions options(const GenerationSettings& settings) const;
  std::vector<GeneratedText> run(const std::vector<std::vector<int32_t>>& prompts,
                                 const GenerationSettings& settings, const TextCallback& on_text);
};

/// The template of a built-in name or a Jinja file. Throws Error(usage) for neither.
ChatTemplate named_chat_template(const std::string& name_or_file);

/// Source of the template to use: the key's file or built-in name, else the model's; nothing without either.
std::optional<ChatTemplate> select_chat_template(const std::optional<std::string>& key,
                                                 const Tokenizer& tokenizer);

/// What generation may take of memory: the limit, or what is free, less what is held already.
uint64_t generation_budget(const RunConfig& config);

}  // namespace lorikeet
