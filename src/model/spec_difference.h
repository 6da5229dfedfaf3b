#pragma once
#include <optional>
#include <string>

#include "model/spec.h"

namespace lorikeet {

/// The first number or choice in which two models differ, as "name: value, other value", or nothing. Class
/// names and module paths do not count, and reals are compared as float32, which is what GGUF keeps.
std::optional<std::string> difference(const ModelSpec& a, const ModelSpec& b);

}  // namespace lorikeet
