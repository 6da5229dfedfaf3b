#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace lorikeet::text {

void AddedTokenMatcher::add(const AddedToken& token, const std::string& spelling) {
  if (spelling.empty()) return;
  starts_[static_cast<unsigned char>(spelling[0])] = true;
  uint32_t node = 0;
  for (const char c : spelling) {
    const uint64_t key = static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(c);
    const auto [it, inserted] = children_.try_emplace(key, static_cast<uint32_t>(ends_.size()));
    if (inserted) ends_.push_back(-1);
    node = it->second;
  }
  if (ends_[node] < 0) ends_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

size_t AddedTokenMatcher::longest_at(std::string_view text, size_t at, size_t end, int32_t* token) const {
  uint32_t node = 0;
  size_t found = 0;
  for (size_t i = at; i < end; ++i) {
    const auto it = children_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    if (it == children_.end()) break;
    node = it->second;
    if (ends_[node] >= 0) {
      *token = ends_[node];
      found = i + 1 - at;
    }
  }
  return found;
}

void AddedTokenMatcher::split(std::string_view text, Range range, std::vector<Section>& out) const {
  if (range.begin == range.end) return;
  size_t done = range.begin;
  for (size_t at = range.begin; at < range.end;) {
    if (!starts_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    int32_t index = -1;
    const size_t size = longest_at(text, at, range.end, &index);
    if (size == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(index)];
    size_t begin = at, end = at + size;
    at = end;
    if (token.single_word) {
      const bool open_left = begin == range.begin || !is_word(code_point_before(text, begin).value);
      const bool open_right = end == range.end || !is_word(code_point_at(text, end).value);
      if (!open_left || !open_right) continue;
    }
    while (token.lstrip && begin > done) {
      const CodePoint c = code_point_before(text, begin);
      if (!is_white_space(c.value)) break;
      begin -= c.size;
    }
    while (token.rstrip && end < range.end) {
      const CodePoint c = code_point_at(text, end);
      if (!is_white_space(c.value)) break;
      end += c.size;
    }
    if (done < begin) out.push_back({{done, begin}, -1});
    // Behind stripped white space the next token may begin inside it; it keeps what is left.
    out.push_back({{std::max(begin, done), std::max(end, done)}, token.id});
    done = std::max(end, done);
  }
  if (done < range.end) out.push_back({{done, range.end}, -1});
}

}  // namespace lorikeet::text
