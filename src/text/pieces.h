#pragma once
// A text on its way to the model: rewritten by normalizers, cut into pieces by pre-tokenizers, with the way
// back to the bytes it came from.
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer.h"

namespace lorikeet::text {

/// A text, the bytes of the original that each of its bytes stands for, and the pieces it is cut into.
struct Pieces {
  std::string text;
  std::vector<Range> pieces;  ///< in order, not empty, not overlapping; what they leave out is dropped
  bool tracked = false;       ///< whether `origins` is kept
  std::vector<TokenOffsets> origins;  ///< per byte of text when tracked
  bool raw_bytes = false;             ///< true: the model reads the pieces as bytes, not as characters
  bool begins_text = true;            ///< the text begins where the whole input begins

  std::string_view view(const Range& r) const {
    return std::string_view(text).substr(r.begin, r.end - r.begin);
  }
};

/// Writes a changed copy of a tracked text: the new text grows at the end, each appended part naming the
/// bytes of the old text it stands for.
class Rewriter {
 public:
  explicit Rewriter(Pieces& source) : source_(source) { text_.reserve(source.text.size() + 16); }
  size_t size() const { return text_.size(); }
  /// Bytes [begin, end) of the old text as they are.
  void copy(size_t begin, size_t end);
  /// `replacement` for bytes [begin, end) of the old text.
  void replace(std::string_view replacement, size_t begin, size_t end);
  /// Puts the new text in the place of the old one; the caller sets the pieces.
  void finish();

 private:
  Pieces& source_;
  std::string text_;
  std::vector<TokenOffsets> origins_;
};

}  // namespace lorikeet::text
