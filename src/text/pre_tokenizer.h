#pragma once
// Pre-tokenizers cut the text into the pieces that the model encodes one by one.
#include <memory>

#include "text/component.h"
#include "text/pieces.h"

namespace lorikeet::text {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Cuts each piece further. Does not depend on anything but its argument.
  virtual void split(Pieces& pieces) const = 0;
};
using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

/// The pre-tokenizer that a tokenizer.json object describes. Throws Error(unsupported) naming an unknown
/// type.
PreTokenizerPtr make_pre_tokenizer(const ComponentJson& json);

/// Applies several in order. A piece that one of them turned into bytes is spelt in the byte alphabet before
/// the next sees it.
PreTokenizerPtr make_pre_tokenizer_sequence(std::vector<PreTokenizerPtr> steps);
/// A Split by regular expression, matches isolated.
PreTokenizerPtr make_regex_split(const std::string& regex, const std::string& where);
PreTokenizerPtr make_digits(bool individual_digits);
PreTokenizerPtr make_byte_level(bool add_prefix_space, bool use_regex);

}  // namespace lorikeet::text
