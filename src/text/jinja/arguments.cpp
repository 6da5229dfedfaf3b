#include "text/jinja/arguments.h"

#include <fmt/core.h>

namespace lorikeet::jinja {

Bound::Bound(Interpreter& interpreter, const std::string& function, const Arguments& arguments,
             std::initializer_list<const char*> parameters)
    : interpreter_(interpreter), function_(function), names_(parameters), values_(parameters.size()) {
  if (arguments.positional.size() > names_.size()) {
    interpreter.fail(fmt::format("{}() takes at most {} arguments, {} given", function, names_.size(),
                                 arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    size_t i = 0;
    while (i < names_.size() && name != names_[i]) ++i;
    if (i == names_.size()) {
      interpreter.fail(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    }
    if (values_[i])
      interpreter.fail(fmt::format("{}() got multiple values for argument '{}'", function, name));
    values_[i] = value;
  }
}

const Value& Bound::required(size_t i) const {
  if (!values_[i]) interpreter_.fail(fmt::format("{}() missing the argument '{}'", function_, names_[i]));
  return *values_[i];
}

int64_t Bound::integer(size_t i, int64_t fallback) const {
  if (!values_[i]) return fallback;
  if (!values_[i]->is_integer()) {
    interpreter_.fail(
        fmt::format("{}(): '{}' must be an int, it is {}", function_, names_[i], type_name(*values_[i])));
  }
  return values_[i]->integer();
}

std::optional<std::string> Bound::text(size_t i) const {
  if (!values_[i] || values_[i]->is_none()) return std::nullopt;
  if (!values_[i]->is_text()) {
    interpreter_.fail(
        fmt::format("{}(): '{}' must be str, it is {}", function_, names_[i], type_name(*values_[i])));
  }
  return values_[i]->text();
}

}  // namespace lorikeet::jinja
