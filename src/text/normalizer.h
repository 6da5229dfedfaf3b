#pragma once
// Normalizers rewrite a stretch of text before it is cut into pieces.
#include <memory>

#include "text/component.h"
#include "text/pieces.h"

namespace lorikeet::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Rewrites `pieces.text`; leaves `pieces.pieces` alone.
  virtual void normalize(Pieces& pieces) const = 0;
};
using NormalizerPtr = std::unique_ptr<const Normalizer>;

/// The normalizer that a tokenizer.json object describes. Throws Error(unsupported) naming an unknown type.
NormalizerPtr make_normalizer(const ComponentJson& json);
/// Where Llama's normalizer puts a space in front.
enum class SpacePrefix : uint8_t { none, first_stretch, every_stretch };
/// Llama's: U+2581 in front and in the place of each space.
NormalizerPtr make_llama_normalizer(SpacePrefix prefix);
NormalizerPtr make_nfc();

}  // namespace lorikeet::text
