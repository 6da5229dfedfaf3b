#pragma once
// Binding of arguments to the parameters of a built-in filter, test, method or function.
#include <initializer_list>
#include <optional>
#include <string>

#include "text/jinja/interpreter.h"

namespace lorikeet::jinja {

/// Arguments by parameter. Throws (as Python's TypeError) for too many or unknown ones.
class Bound {
 public:
  Bound(Interpreter& interpreter, const std::string& function, const Arguments& arguments,
        std::initializer_list<const char*> parameters);
  bool has(size_t i) const { return values_[i].has_value(); }
  /// Parameter i, which must have been given.
  const Value& required(size_t i) const;
  Value or_else(size_t i, const Value& fallback) const { return values_[i] ? *values_[i] : fallback; }
  bool flag(size_t i, bool fallback) const { return values_[i] ? truth(*values_[i]) : fallback; }
  int64_t integer(size_t i, int64_t fallback) const;
  /// A text, or nothing for a missing argument or none.
  std::optional<std::string> text(size_t i) const;

 private:
  Interpreter& interpreter_;
  std::string function_;
  std::vector<const char*> names_;
  std::vector<std::optional<Value>> values_;
};

/// For a function without parameters.
inline void no_arguments(Interpreter& interpreter, const std::string& function, const Arguments& arguments) {
  const Bound none(interpreter, function, arguments, {});
}

}  // namespace lorikeet::jinja
