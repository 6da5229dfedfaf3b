#include "train/exact_match.h"

#include <string_view>

namespace lorikeet {

namespace {
std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}
}  // namespace

ExactMatch exact_match(TextGenerator::State& model, const std::vector<CompletionCase>& cases,
                       int64_t max_new_tokens) {
  std::vector<std::vector<int32_t>> prompts;
  for (const CompletionCase& c : cases) prompts.push_back(c.prompt);
  GenerationSettings settings;
  settings.max_new_tokens = max_new_tokens;
  const std::vector<GeneratedText> answers = model.run(prompts, settings, {});
  ExactMatch result;
  for (size_t i = 0; i < cases.size(); ++i) {
    ++result.examples;
    result.matched += trimmed(answers[i].text) == trimmed(cases[i].reference);
  }
  return result;
}

}  // namespace lorikeet
