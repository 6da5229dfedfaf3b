#pragma once
#include <string>
#include <vector>

namespace lorikeet::cli {

int run_inspect_model(const std::vector<std::string>& arguments);
int run_inspect_adapter(const std::vector<std::string>& arguments);
int run_inspect_data(const std::vector<std::string>& arguments);

}  // namespace lorikeet::cli
