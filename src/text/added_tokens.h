#pragma once
// Added tokens (<|im_start|>, ...) are found in the text before the model sees it.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/regex.h"

namespace lorikeet::text {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool single_word = false;  ///< only between characters that are no word characters
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
  bool normalized = false;   ///< looked for in the normalized text
  bool verbatim = false;     ///< its content is normalized text already
};

/// A stretch of text: an added token, or what lies between two (id < 0).
struct Section {
  Range range;
  int32_t id = -1;
};

/// Finds any of a set of added tokens, the longest at the leftmost place.
class AddedTokenMatcher {
 public:
  /// `spelling` is what to look for, e.g. the normalized content.
  void add(const AddedToken& token, const std::string& spelling);
  bool empty() const { return tokens_.empty(); }
  /// Appends the sections of text[range); nothing for an empty range.
  void split(std::string_view text, Range range, std::vector<Section>& out) const;

 private:
  // A trie; children by (node, byte).
  size_t longest_at(std::string_view text, size_t at, size_t end, int32_t* token) const;
  std::array<bool, 256> starts_{};
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> ends_{-1};  // per node: the token that ends there
  std::vector<AddedToken> tokens_;
};

}  // namespace lorikeet::text
