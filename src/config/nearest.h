#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

/// The candidate with the fewest insertions, deletions, replacements and swaps of neighbours from `word` to
/// it, or an empty string if even that is more than a third of its length (at least 2).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// `did you mean "..."?`, or `fallback` where nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view fallback);

}  // namespace lorikeet
