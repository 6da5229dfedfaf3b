#pragma once
// A row as the format reads it, before tokenization.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"

namespace lorikeet {

struct Example {
  enum class Kind : uint8_t {
    conversation,  ///< messages
    completion,    ///< a text, of which the part after `prompt` is learned
    tokens         ///< ids and labels as they are
  };
  Kind kind = Kind::conversation;

  /// [{"role", "content", ...}], as a chat template takes them.
  Json messages = Json::array();
  /// Messages before this one are a prompt: no targets with completion_only_loss.
  size_t prompt_messages = 0;
  Json tools;  ///< null: none

  std::string prompt;  ///< empty for plain text
  std::string completion;

  std::vector<int32_t> input_ids;
  std::vector<int32_t> labels;  ///< as many as input_ids
};

/// A row as token ids. `labels[i]` is what the model should say at place i, given the ids before it;
/// kNoTarget where nothing is learned, always at place 0.
struct Sample {
  std::vector<int32_t> input_ids;
  std::vector<int32_t> labels;
  int64_t row_id = 0;  ///< 0-based number of the row in its data
  int64_t target_count() const;
};

constexpr int32_t kNoTarget = -100;

}  // namespace lorikeet
