#pragma once
#include <span>

#include "config/key.h"
#include "lorikeet/text_generator.h"

namespace lorikeet::cli {

/// max_new_tokens, temperature, top_p, top_k, seed.
std::span<const Key<GenerationSettings>> generation_keys();

}  // namespace lorikeet::cli
