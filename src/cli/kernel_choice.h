#pragma once
#include <string>
#include <vector>

namespace lorikeet::cli {

/// Which kernel an op would run for typical shapes, by compute type.
struct KernelChoice {
  std::string op;
  std::string float32, bfloat16;  ///< the kernel's name
};

/// Asks the dispatch lists of the CPU; runs nothing.
std::vector<KernelChoice> kernel_choices();

}  // namespace lorikeet::cli
