#include "train/exact_match.h"

#include <algorithm>
#include <string_view>

namespace lorikeet {

namespace {

constexpr std::string_view kSpace = " \t\r\n\f\v";

std::string_view left_trimmed(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
}
std::string_view trimmed(std::string_view text) {
  return left_trimmed(text.substr(0, text.find_last_not_of(kSpace) + 1));
}

/// Follows an answer token by token.
class Follower {
 public:
  Follower(const Tokenizer& tokenizer, std::string_view reference)
      : stream_(tokenizer, /*skip_special_tokens=*/true), reference_(trimmed(reference)) {}

  /// Takes the next token. False if no continuation can equal the reference any more.
  bool can_match(int32_t id) {
    text_ += stream_.push(id);
    const std::string_view answer = left_trimmed(text_);
    const size_t n = std::min(answer.size(), reference_.size());
    return answer.substr(0, n) == reference_.substr(0, n) && left_trimmed(answer.substr(n)).empty();
  }

 private:
  StreamDecoder stream_;
  std::string_view reference_;
  std::string text_;
};

}  // namespace

ExactMatch exact_match(TextGenerator::State& model, const std::vector<CompletionCase>& cases,
                       int64_t max_new_tokens) {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<Follower> followers;
  for (const CompletionCase& c : cases) {
    prompts.push_back(c.prompt);
    followers.emplace_back(model.tokenizer, c.reference);
  }
  GenerationSettings settings;
  settings.max_new_tokens = max_new_tokens;
  const std::vector<Completion> answers =
      model.generator.run(prompts, model.options(settings), [&](size_t row, int32_t id) {
        return followers[row].can_match(id) ? AfterToken::go_on : AfterToken::end_row;
      });
  ExactMatch result;
  for (size_t i = 0; i < cases.size(); ++i) {
    ++result.examples;
    if (answers[i].finish_reason == FinishReason::cancelled) continue;
    const std::string text = model.tokenizer.decode(answers[i].ids, /*skip_special_tokens=*/true);
    result.matched += trimmed(text) == trimmed(cases[i].reference);
  }
  return result;
}

}  // namespace lorikeet
