#pragma once
// Post-processors: the tokens that encoding with special tokens puts around the text.
#include <cstdint>
#include <functional>
#include <vector>

#include "text/component.h"

namespace lorikeet::text {

/// Ids in front of and behind the text.
struct Surround {
  std::vector<int32_t> prefix, suffix;
};

/// What a tokenizer.json post_processor adds around a single text. Throws Error(unsupported) naming an
/// unknown type.
Surround make_surround(const ComponentJson& json);

}  // namespace lorikeet::text
