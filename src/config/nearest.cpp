#include "config/nearest.h"

#include <fmt/core.h>

#include <algorithm>

namespace lorikeet {
namespace {

constexpr size_t kLongestWord = 64;  // words are key names; longer input is no misspelling of one

/// Optimal string alignment distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string best;
  size_t best_distance = std::string_view::npos;
  for (const std::string& candidate : candidates) {
    const size_t d = distance(word, candidate);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  if (best_distance <= std::max<size_t>(2, best.size() / 3)) return best;
  // A part of a name, e.g. "batch_size" or "target_modules".
  if (word.size() >= 4)
    for (const std::string& candidate : candidates)
      if (candidate.find(word) != std::string::npos) return candidate;
  return {};
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view fallback) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? std::string(fallback) : fmt::format("did you mean \"{}\"?", best);
}

}  // namespace lorikeet
