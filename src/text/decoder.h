#pragma once
// Decoders turn the spelling of tokens back into text.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/component.h"

namespace lorikeet::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Rewrites the tokens' spellings; what is left, joined, is the text.
  virtual void decode(std::vector<std::string>& tokens) const = 0;
  /// True where each token stands for bytes by itself, whatever its neighbours; append_bytes then gives them.
  virtual bool is_bytewise() const { return false; }
  virtual void append_bytes(std::string_view, std::string&) const {}
  /// The byte that a token like <0x0A> stands for, or -1.
  virtual int fallback_byte(std::string_view) const { return -1; }
};
using DecoderPtr = std::unique_ptr<const Decoder>;

/// The decoder that a tokenizer.json object describes. Throws Error(unsupported) naming an unknown type.
DecoderPtr make_decoder(const ComponentJson& json);
DecoderPtr make_byte_level_decoder();
/// Llama's: U+2581 to space, <0xNN> to bytes, and without the one space that encoding put in front.
DecoderPtr make_llama_decoder(bool strip_prefix);

}  // namespace lorikeet::text
