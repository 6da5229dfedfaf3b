#pragma once
#include <string>

namespace lorikeet::cli {

std::string version_number();
std::string commit();  ///< of the sources; "unknown" outside a git checkout
std::string compiler();
std::string version_text();  ///< what --version prints

}  // namespace lorikeet::cli
