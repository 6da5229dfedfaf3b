#pragma once
// Python's operators.
#include <string>

#include "text/jinja/interpreter.h"

namespace lorikeet::jinja {

bool equal(Interpreter& interpreter, const Value& a, const Value& b);
/// a < b; fails for values without order.
bool less(Interpreter& interpreter, const Value& a, const Value& b);
/// member in container.
bool contains(Interpreter& interpreter, const Value& container, const Value& member);
/// a op b for + - * / // % **.
Value binary(Interpreter& interpreter, const std::string& op, const Value& a, const Value& b);
Value negative(Interpreter& interpreter, const Value& v);
/// len(value).
int64_t length(Interpreter& interpreter, const Value& value);
/// value[start:stop:step]; none stands for a missing bound.
Value slice_of(Interpreter& interpreter, const Value& value, const Value& start, const Value& stop,
               const Value& step);
/// The i-th of `size` as Python counts, or -1.
int64_t place(int64_t i, int64_t size);

}  // namespace lorikeet::jinja
