// Tests: what may follow `is`.
#include <fmt/core.h>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace lorikeet::jinja {
namespace {

using In = Interpreter&;
using Args = const Arguments&;

bool none_given(In in, Args a) {
  no_arguments(in, "test", a);
  return true;
}
Value one(In in, Args a) { return Bound(in, "test", a, {"other"}).required(0); }

bool is_defined(In in, const Value& v, Args a) { return none_given(in, a) && !v.is_undefined(); }
bool is_undefined(In in, const Value& v, Args a) { return none_given(in, a) && v.is_undefined(); }
bool is_none(In in, const Value& v, Args a) { return none_given(in, a) && v.is_none(); }
bool is_boolean(In in, const Value& v, Args a) { return none_given(in, a) && v.is<bool>(); }
bool is_true(In in, const Value& v, Args a) { return none_given(in, a) && v.is<bool>() && v.get<bool>(); }
bool is_false(In in, const Value& v, Args a) { return none_given(in, a) && v.is<bool>() && !v.get<bool>(); }
bool is_integer(In in, const Value& v, Args a) { return none_given(in, a) && v.is<int64_t>(); }
bool is_float(In in, const Value& v, Args a) { return none_given(in, a) && v.is<double>(); }
bool is_number(In in, const Value& v, Args a) { return none_given(in, a) && v.is_number(); }
bool is_string(In in, const Value& v, Args a) { return none_given(in, a) && v.is_text(); }
bool is_mapping(In in, const Value& v, Args a) { return none_given(in, a) && v.dict(); }
bool is_callable(In in, const Value& v, Args a) {
  return none_given(in, a) && v.is<std::shared_ptr<const Callable>>();
}

// Anything with a length and a [] is a sequence to Jinja2: dicts and texts too, dict views not.
bool is_sequence(In in, const Value& v, Args a) {
  none_given(in, a);
  if (const Sequence* s = v.sequence()) {
    return s->kind == Sequence::Kind::list || s->kind == Sequence::Kind::tuple ||
           s->kind == Sequence::Kind::range;
  }
  return v.is_text() || v.dict() || v.is_undefined();
}

bool is_iterable(In in, const Value& v, Args a) {
  none_given(in, a);
  return v.is_text() || v.sequence() || v.dict() || v.generator() || v.is_undefined() ||
         v.is<std::shared_ptr<const Loop>>();
}

bool is_odd(In in, const Value& v, Args a) {
  none_given(in, a);
  return equal(in, binary(in, "%", v, int64_t{2}), int64_t{1});
}
bool is_even(In in, const Value& v, Args a) {
  none_given(in, a);
  return equal(in, binary(in, "%", v, int64_t{2}), int64_t{0});
}
bool is_divisible(In in, const Value& v, Args a) {
  return equal(in, binary(in, "%", v, one(in, a)), int64_t{0});
}

bool is_equal(In in, const Value& v, Args a) { return equal(in, v, one(in, a)); }
bool is_unequal(In in, const Value& v, Args a) { return !equal(in, v, one(in, a)); }
bool is_less(In in, const Value& v, Args a) { return less(in, v, one(in, a)); }
bool is_greater(In in, const Value& v, Args a) { return less(in, one(in, a), v); }
bool is_at_most(In in, const Value& v, Args a) { return less(in, v, one(in, a)) || equal(in, v, one(in, a)); }
bool is_at_least(In in, const Value& v, Args a) {
  return less(in, one(in, a), v) || equal(in, v, one(in, a));
}
bool is_in(In in, const Value& v, Args a) { return contains(in, one(in, a), v); }

bool is_same(In in, const Value& v, Args a) {
  const Value other = one(in, a);
  return type_name(v) == type_name(other) && equal(in, v, other);
}

bool is_lower(In in, const Value& v, Args a) {
  none_given(in, a);
  if (!v.is_text()) in.fail("the test 'lower' needs a text");
  return lower(v.text()) == v.text() && upper(v.text()) != v.text();
}
bool is_upper(In in, const Value& v, Args a) {
  none_given(in, a);
  if (!v.is_text()) in.fail("the test 'upper' needs a text");
  return upper(v.text()) == v.text() && lower(v.text()) != v.text();
}
bool is_escaped(In in, const Value& v, Args a) { return none_given(in, a) && v.is_markup(); }
bool is_filter(In in, const Value& v, Args a) {
  return none_given(in, a) && v.is_text() && find_filter(v.text()) != nullptr;
}
bool is_test(In in, const Value& v, Args a) {
  return none_given(in, a) && v.is_text() && find_test(v.text()) != nullptr;
}

constexpr Named<TestFunction> kTests[] = {
    {"!=", is_unequal},
    {"<", is_less},
    {"<=", is_at_most},
    {"==", is_equal},
    {">", is_greater},
    {">=", is_at_least},
    {"boolean", is_boolean},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"escaped", is_escaped},
    {"even", is_even},
    {"false", is_false},
    {"filter", is_filter},
    {"float", is_float},
    {"ge", is_at_least},
    {"greaterthan", is_greater},
    {"gt", is_greater},
    {"in", is_in},
    {"integer", is_integer},
    {"iterable", is_iterable},
    {"le", is_at_most},
    {"lessthan", is_less},
    {"lower", is_lower},
    {"lt", is_less},
    {"mapping", is_mapping},
    {"ne", is_unequal},
    {"none", is_none},
    {"number", is_number},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", is_string},
    {"test", is_test},
    {"true", is_true},
    {"undefined", is_undefined},
    {"upper", is_upper},
};

}  // namespace

TestFunction find_test(std::string_view name) { return find_named(kTests, name); }

}  // namespace lorikeet::jinja
