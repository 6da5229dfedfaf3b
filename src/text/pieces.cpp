#include "text/pieces.h"

namespace lorikeet::text {

void Rewriter::copy(size_t begin, size_t end) {
  text_.append(source_.text, begin, end - begin);
  if (!source_.tracked) return;
  origins_.insert(origins_.end(), source_.origins.begin() + static_cast<ptrdiff_t>(begin),
                  source_.origins.begin() + static_cast<ptrdiff_t>(end));
}

void Rewriter::replace(std::string_view replacement, size_t begin, size_t end) {
  text_ += replacement;
  if (!source_.tracked) return;
  TokenOffsets origin;
  if (begin < end) {
    origin = {source_.origins[begin].begin, source_.origins[end - 1].end};
  } else if (begin < source_.origins.size()) {
    origin = {source_.origins[begin].begin, source_.origins[begin].begin};
  } else if (!source_.origins.empty()) {
    origin = {source_.origins.back().end, source_.origins.back().end};
  }
  origins_.insert(origins_.end(), replacement.size(), origin);
}

void Rewriter::finish() {
  source_.text = std::move(text_);
  source_.origins = std::move(origins_);
}

}  // namespace lorikeet::text
