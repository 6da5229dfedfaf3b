#pragma once
// Completing text from a program: a model, with or without an adapter.
//
//   lorikeet::RunConfig config;
//   config.adapter = "out";
//   lorikeet::TextGenerator generator(config);
//   std::cout << generator.reply({{{"user", "Wake me at six."}}})[0].text;
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lorikeet/config.h"
#include "lorikeet/error.h"

namespace lorikeet {

struct GenerationSettings {
  int64_t max_new_tokens = 128;
  double temperature = 0;  ///< 0: greedy
  double top_p = 1;
  int64_t top_k = 0;  ///< 0: all
  uint64_t seed = 42;
};

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant" or "tool"
  std::string content;
};
using Conversation = std::vector<ChatMessage>;

struct GeneratedText {
  std::string text;  ///< without special tokens
  int64_t prompt_tokens = 0;
  std::vector<int32_t> tokens;  ///< the new ids, the one that ended the text included
  std::string finish_reason;    ///< "stop", "length" or "cancelled"
};

/// Called with each piece of text as it comes (whole UTF-8). Returning false ends the call.
using TextCallback = std::function<bool(size_t index, const std::string& piece)>;

/// A model ready to complete text. Not safe to use from several threads at once.
class TextGenerator {
 public:
  /// Uses `model`, `adapter`, `method`, the quantization keys, `compute_dtype`, `chat_template`,
  /// `system_prompt`, `memory_limit` and `threads`. With an adapter, keys that were not given come from its
  /// run.yaml, and the base must be the one it was trained on unless allow_other_base is set. `max_positions`
  /// bounds prompt and answer together (0: what the model was made for). Throws Error: usage, format or
  /// unsupported for what cannot be loaded, resource for lack of memory.
  explicit TextGenerator(const RunConfig& config, int64_t max_positions = 0);
  ~TextGenerator();
  TextGenerator(TextGenerator&&) noexcept;
  TextGenerator& operator=(TextGenerator&&) noexcept;

  /// Continues raw texts.
  std::vector<GeneratedText> complete(const std::vector<std::string>& prompts,
                                      const GenerationSettings& settings = {},
                                      const TextCallback& on_text = {});
  /// Answers conversations through the chat template. Throws Error(usage) if the model has none.
  std::vector<GeneratedText> reply(const std::vector<Conversation>& conversations,
                                   const GenerationSettings& settings = {}, const TextCallback& on_text = {});

  const RunConfig& config() const;  ///< resolved: with what the adapter's run.yaml says
  struct State;
  State& state() const { return *state_; }  ///< for the command line: the parts inside

 private:
  std::unique_ptr<State> state_;
};

}  // namespace lorikeet
