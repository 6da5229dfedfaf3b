#pragma once
// Cutting a text at the matches of a pattern: what Split, Digits, Punctuation and the Replace parts share.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/component.h"
#include "text/pieces.h"
#include "text/regex.h"

namespace lorikeet::text {

/// What becomes of the matches, by the names that tokenizer.json uses.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
SplitBehavior split_behavior(const ComponentJson& json, const char* key, SplitBehavior fallback);

/// {"String": "..."} or {"Regex": "..."}.
class Pattern {
 public:
  explicit Pattern(const ComponentJson& json);
  static Pattern literal(std::string text);
  static Pattern regex(const std::string& source, const std::string& where);
  /// Appends the matches within a range of the text.
  void find_all(std::string_view text, Range range, std::vector<Range>& matches) const;
  /// True where matches depend on character classes, so that unknown characters must be replaced first.
  bool is_regex() const { return regex_.has_value(); }

 private:
  Pattern() = default;
  std::string literal_;
  std::optional<Regex> regex_;
};

/// Cuts every piece at the matches of `pattern`; with `invert` what does not match counts as match.
void split_pieces(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert);
/// Cuts every piece at the characters of a class; each character is a match of its own.
void split_pieces(Pieces& pieces, bool (*in_class)(uint32_t), SplitBehavior behavior);

}  // namespace lorikeet::text
