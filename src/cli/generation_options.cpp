#include "cli/generation_options.h"

#include <array>

namespace lorikeet::cli {

std::span<const Key<GenerationSettings>> generation_keys() {
  using S = GenerationSettings;
  static const std::array rows{
      key<&S::max_new_tokens>("max_new_tokens", "generation", "longest answer in tokens").range(1, 1 << 24),
      key<&S::temperature>("temperature", "generation", "0: always the likeliest token").range(0, 1e6),
      key<&S::top_p>("top_p", "generation",
                     "draw among the likeliest tokens that together reach this probability")
          .above(0)
          .range(0, 1),
      key<&S::top_k>("top_k", "generation", "draw among this many of the likeliest tokens; 0: all")
          .range(0, 1 << 24),
      key<&S::seed>("seed", "generation", "of the draws").range(0, 9e15),
  };
  return rows;
}

}  // namespace lorikeet::cli
