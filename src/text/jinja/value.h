#pragma once
// Values of a template, with Python's meaning. All but namespaces and generators are immutable, as in
// Jinja2's immutable sandbox.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "io/json.h"

namespace lorikeet::jinja {

class Value;
class Interpreter;
struct Arguments;

/// What a failing use of an undefined value says.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};
struct Text {
  std::shared_ptr<const std::string> bytes;
  bool markup = false;  ///< came from `safe` or `escape`: adding plain text escapes that
};

/// List, tuple, and the views that Python's dict methods give.
struct Sequence {
  enum class Kind { list, tuple, items, keys, values, range };
  Kind kind = Kind::list;
  std::vector<Value> items;
  int depth = 1;  ///< nesting, so that no recursion over values is deep
};

/// A dict in the order of insertion.
class Dict {
 public:
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// A key that is there keeps its place and gets the new value.
  void set(Value key, Value value);
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  size_t size() const;
  int depth = 1;

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, size_t> by_text_;
};

/// namespace(...): the one thing that templates may change.
struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
  const Value* find(std::string_view name) const;
};

/// What map, select and the like give: can be gone through once, has no length and is always true.
struct Generator {
  std::vector<Value> items;
  size_t next = 0;
  int depth = 1;
};

/// Anything that can be called.
class Callable {
 public:
  virtual ~Callable() = default;
  virtual Value call(Interpreter& interpreter, const Arguments& arguments) const = 0;
  virtual std::string name() const = 0;
  /// Nesting of what it holds.
  virtual int depth() const { return 0; }
};

/// The `loop` variable.
struct Loop {
  std::shared_ptr<const std::vector<Value>> items;
  size_t index = 0;
  int depth = 1;
};

class Value {
 public:
  using Data =
      std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const Sequence>,
                   std::shared_ptr<const Dict>, std::shared_ptr<Namespace>, std::shared_ptr<Generator>,
                   std::shared_ptr<const Callable>, std::shared_ptr<const Loop>>;
  Value() : data_(None{}) {}
  Value(bool v) : data_(v) {}
  Value(int64_t v) : data_(v) {}
  Value(double v) : data_(v) {}
  Value(std::string v) : data_(Text{std::make_shared<const std::string>(std::move(v)), false}) {}
  Value(const char* v) : Value(std::string(v)) {}
  template <class T>
  requires std::is_constructible_v<Data, T> &&(!std::is_arithmetic_v<T>)Value(T v) : data_(std::move(v)) {}

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <class T>
  const T& get() const {
    return std::get<T>(data_);
  }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }

  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_text() const { return is<Text>(); }
  bool is_number() const { return is<bool>() || is<int64_t>() || is<double>(); }
  bool is_integer() const { return is<bool>() || is<int64_t>(); }  ///< Python's True is an int
  const std::string& text() const { return *std::get<Text>(data_).bytes; }
  bool is_markup() const { return is_text() && get<Text>().markup; }
  const Sequence* sequence() const {
    const auto* s = get_if<std::shared_ptr<const Sequence>>();
    return s ? s->get() : nullptr;
  }
  const Dict* dict() const {
    const auto* d = get_if<std::shared_ptr<const Dict>>();
    return d ? d->get() : nullptr;
  }
  Generator* generator() const {
    const auto* g = get_if<std::shared_ptr<Generator>>();
    return g ? g->get() : nullptr;
  }
  int64_t integer() const { return is<bool>() ? get<bool>() : get<int64_t>(); }
  double number() const { return is<double>() ? get<double>() : static_cast<double>(integer()); }
  int depth() const;

 private:
  Data data_;
};

Value undefined(std::string reason);
Value undefined_name(const std::string& name);
Value markup(std::string text);
/// Text that is markup where `model` is.
Value text_like(const Value& model, std::string text);
/// The nesting of something that holds `items`. Throws Error(resource) where that is too deep.
int depth_around(const std::vector<Value>& items);
/// Throw as depth_around.
Value make_sequence(std::vector<Value> items, Sequence::Kind kind = Sequence::Kind::list);
Value make_generator(std::vector<Value> items);
Value make_dict(Dict dict);
Value from_json(const Json& json);

/// Python's bool(value).
bool truth(const Value& value);
/// Python's type name as its messages spell it: "str", "dict", "NoneType".
std::string type_name(const Value& value);

inline size_t Dict::size() const { return entries_.size(); }  // here, where Value is complete

}  // namespace lorikeet::jinja
