#pragma once
// Template source to a Program.
#include <memory>
#include <string>

#include "text/jinja/ast.h"

namespace lorikeet::jinja {

/// Throws Error(format) with the line for a syntax error, Error(unsupported) for a Jinja construct outside
/// the subset.
std::shared_ptr<const Program> parse_template(const std::string& source, const std::string& name);

}  // namespace lorikeet::jinja
