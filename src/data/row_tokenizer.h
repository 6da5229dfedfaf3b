#pragma once
// From an example to token ids and labels: the one path for training, evaluation and prompts of exact match.
#include <optional>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/row_source.h"
#include "text/assistant_mask.h"

namespace lorikeet {

struct RowTokenizerOptions {
  std::optional<std::string> system_prompt;  ///< for conversations without one
  bool assistant_only_loss = true;
  bool completion_only_loss = true;
  int64_t max_length = 1024;
  int64_t vocab_size = 0;         ///< of the model: ids at or above it are refused
  std::optional<int32_t> eos_id;  ///< closes completions; none: the tokenizer's
};

struct TokenizedRow {
  Sample sample;
  int64_t cut = 0;              ///< tokens beyond max_length
  std::string without_targets;  ///< why the row has no target; empty if it has some
};

/// A prompt as generation gets it, and what should follow.
struct CompletionCase {
  std::vector<int32_t> prompt;
  std::string reference;
};

/// Safe to use from several threads at once; tokenizer and template must outlive it.
class RowTokenizer {
 public:
  /// `tokenizer` may be null for tokenized data, `chat_template` for data without conversations.
  RowTokenizer(const Tokenizer* tokenizer, const ChatTemplate* chat_template, RowTokenizerOptions options);

  /// Ids, labels and what was cut. BOS stands in front exactly once where the tokenizer wants it; texts and
  /// completions end with EOS, conversations as their template ends them, and that token is a target. Of a
  /// completion, the tokens are those that generation would see and produce: the prompt is encoded as it will
  /// be encoded alone.
  ///
  /// Throws Error(format) naming the row for an id outside the vocabulary or a conversation whose assistant
  /// tokens cannot be found, Error(usage) naming the key if a template or tokenizer is missing.
  TokenizedRow tokenize(const Example& example, const RowPlace& place) const;

  /// The last assistant turn or the completion as a question. Throws Error(usage) where there is none.
  CompletionCase completion_case(const Example& example, const RowPlace& place) const;

 private:
  TokenizedRow conversation(const Example& example, const RowPlace& place) const;
  TokenizedRow completion(const Example& example, const RowPlace& place) const;
  ChatInput chat_input(const Example& example) const;
  std::vector<int32_t> prompt_ids(const std::string& text) const;
  const Tokenizer& tokenizer(const RowPlace& place) const;
  const ChatTemplate& chat_template(const RowPlace& place) const;
  void finish(TokenizedRow& row, const RowPlace& place) const;

  const Tokenizer* tokenizer_;
  const ChatTemplate* template_;
  RowTokenizerOptions options_;
};

}  // namespace lorikeet
