#pragma once
#include <vector>

#include "data/row_tokenizer.h"
#include "train/text_generator.h"

namespace lorikeet {

struct ExactMatch {
  int64_t examples = 0, matched = 0;
  double share() const { return examples ? static_cast<double>(matched) / static_cast<double>(examples) : 0; }
};

/// Greedy completion of each case, compared with its reference after trimming white space. An answer is given
/// up as soon as it can no longer match.
ExactMatch exact_match(TextGenerator::State& model, const std::vector<CompletionCase>& cases,
                       int64_t max_new_tokens);

}  // namespace lorikeet
