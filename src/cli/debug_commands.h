#pragma once
#include <string>
#include <vector>

namespace lorikeet::cli {

int run_debug_dump(const std::vector<std::string>& arguments);
int run_debug_diff(const std::vector<std::string>& arguments);

}  // namespace lorikeet::cli
