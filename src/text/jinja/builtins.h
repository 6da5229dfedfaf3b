#pragma once
// What templates can name: filters, tests, methods and global functions. Each kind keeps a constexpr array of
// {name, function} in its own file.
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/interpreter.h"

namespace lorikeet::jinja {

using FilterFunction = Value (*)(Interpreter&, const Value& value, const Arguments&);
using TestFunction = bool (*)(Interpreter&, const Value& value, const Arguments&);

/// Null for an unknown name.
FilterFunction find_filter(std::string_view name);
FilterFunction find_text_filter(std::string_view name);      ///< the part of the filters that makes text
FilterFunction find_sequence_filter(std::string_view name);  ///< the part that goes through a sequence
TestFunction find_test(std::string_view name);

/// A method of `self` bound to it (Python's self.name), or nothing.
std::optional<Value> find_method(const Value& self, const std::string& name);
/// A global function, or nothing.
std::optional<Value> find_global(const std::string& name);

/// Wraps a C++ function as a value that can be called.
using GlobalFunction = Value (*)(Interpreter&, const Arguments&);

template <class Function>
struct Named {
  std::string_view name;
  Function function;
};

template <class Function, size_t N>
Function find_named(const Named<Function> (&all)[N], std::string_view name) {
  for (const Named<Function>& n : all) {
    if (n.name == name) return n.function;
  }
  return nullptr;
}

}  // namespace lorikeet::jinja
