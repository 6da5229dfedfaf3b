#pragma once
// The regular expressions of tokenizer files, matched with PCRE2 as the official library would match them.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet::text {

/// Bytes [begin, end) of a text.
struct Range {
  size_t begin = 0;
  size_t end = 0;
};

/// A compiled pattern; safe to use from several threads at once.
class Regex {
 public:
  /// Throws Error(format) with PCRE2's reason, Error(unsupported) for a construct that the two engines
  /// understand differently. `where` stands in errors.
  Regex(const std::string& pattern, const std::string& where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) = delete;
  Regex(const Regex&) = delete;

  /// Appends all matches within [range.begin, range.end) of `text`, which must be valid UTF-8; what lies
  /// outside is not looked at. Throws Error(resource) where the pattern backtracks without bound.
  void find_all(std::string_view text, Range range, std::vector<Range>& matches) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

/// `text` with the characters that PCRE2's Unicode tables do not know replaced by ones of the same class and
/// length; returns false, leaving `out` alone, where there are none.
bool replace_unknown_characters(std::string_view text, std::string& out);

}  // namespace lorikeet::text
