#pragma once
// A key: one named option of a run or of a command, with everything that reading, checking, helping and
// writing need.
//
// Goal: a table of keys is the only place where an option is described. Non-goal: nested configuration.
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace lorikeet {

enum class KeyType {
  boolean,
  integer,
  number,
  text,
  choice,
  size,
  text_list,
  integer_list,
  modules,
  integer_map,
  number_map
};

/// One allowed word of a choice.
struct Choice {
  std::string_view name;
  int value;
  bool built = true;
  bool alias = false;  ///< a second spelling: read, never written or listed
};

/// A key's value without its C++ type. A choice is its name, a size its bytes; monostate is "none".
using KeyValue = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>,
                              std::vector<int64_t>, std::map<std::string, double>>;

/// What files and flags may hold in place of a value.
enum class PathRole { none, path, name_or_path };

struct KeyInfo {
  std::string_view name;     ///< snake_case; the flag is the same in kebab-case
  std::string_view section;  ///< heading in help and run.yaml
  std::string_view help;
  KeyType type = KeyType::text;
  bool optional = false;            ///< may be none
  std::string_view default_text{};  ///< in help, where the value itself says too little, e.g. "what is free"
  std::span<const Choice> choices{};
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool above_least = false;  ///< `least` itself is excluded
  bool below_most = false;
  bool power_of_two = false;
  bool built = true;            ///< false: any value but the default is refused with exit 4
  bool per_invocation = false;  ///< never carried over by run.yaml
  bool required = false;
  PathRole path = PathRole::none;
  std::string_view bare_value{};  ///< what the flag without a value means; empty: it needs one
};

/// The words of an enum. Specialised in enum_names.cpp.
template <class E>
std::span<const Choice> choices_of();

/// A key bound to a member of C. The builder functions make a table row read as a sentence.
template <class C>
struct Key {
  KeyInfo info;
  KeyValue (*get)(const C&);
  void (*set)(C&, const KeyValue&);

  constexpr Key range(double least, double most) const {
    Key k = *this;
    k.info.least = least;
    k.info.most = most;
    return k;
  }
  constexpr Key at_least(double least) const {
    Key k = *this;
    k.info.least = least;
    return k;
  }
  constexpr Key above(double least) const {
    Key k = *this;
    k.info.least = least;
    k.info.above_least = true;
    return k;
  }
  constexpr Key below(double most) const {
    Key k = *this;
    k.info.most = most;
    k.info.below_most = true;
    return k;
  }
  constexpr Key powers_of_two() const {
    Key k = *this;
    k.info.power_of_two = true;
    return k;
  }
  constexpr Key not_yet() const {
    Key k = *this;
    k.info.built = false;
    return k;
  }
  constexpr Key per_invocation() const {
    Key k = *this;
    k.info.per_invocation = true;
    return k;
  }
  constexpr Key required() const {
    Key k = *this;
    k.info.required = true;
    return k;
  }
  constexpr Key path() const {
    Key k = *this;
    k.info.path = PathRole::path;
    return k;
  }
  constexpr Key name_or_path() const {
    Key k = *this;
    k.info.path = PathRole::name_or_path;
    return k;
  }
  constexpr Key shown_default(std::string_view text) const {
    Key k = *this;
    k.info.default_text = text;
    return k;
  }
  constexpr Key bytes() const {
    Key k = *this;
    k.info.type = KeyType::size;
    return k;
  }
  constexpr Key bare(std::string_view value) const {
    Key k = *this;
    k.info.bare_value = value;
    return k;
  }
};

namespace detail {

template <class T>
struct Unwrapped {
  using type = T;
  static constexpr bool optional = false;
};
template <class T>
struct Unwrapped<std::optional<T>> {
  using type = T;
  static constexpr bool optional = true;
};

using Modules = std::variant<std::string, std::vector<std::string>>;

template <class T>
constexpr KeyType key_type() {
  if constexpr (std::is_same_v<T, bool>)
    return KeyType::boolean;
  else if constexpr (std::is_enum_v<T>)
    return KeyType::choice;
  else if constexpr (std::is_integral_v<T>)
    return KeyType::integer;
  else if constexpr (std::is_floating_point_v<T>)
    return KeyType::number;
  else if constexpr (std::is_same_v<T, std::string>)
    return KeyType::text;
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return KeyType::text_list;
  else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
    return KeyType::integer_list;
  else if constexpr (std::is_same_v<T, Modules>)
    return KeyType::modules;
  else if constexpr (std::is_same_v<T, std::map<std::string, int64_t>>)
    return KeyType::integer_map;
  else {
    static_assert(std::is_same_v<T, std::map<std::string, double>>,
                  "a key's field has none of the known types");
    return KeyType::number_map;
  }
}

std::string choice_name(std::span<const Choice> choices, int value);
int choice_value(std::span<const Choice> choices, std::string_view name);

template <class T>
KeyValue to_value(const T& field) {
  if constexpr (std::is_enum_v<T>)
    return choice_name(choices_of<T>(), static_cast<int>(field));
  else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
    return static_cast<int64_t>(field);
  else if constexpr (std::is_same_v<T, Modules>)
    return std::visit([](const auto& v) -> KeyValue { return v; }, field);
  else if constexpr (std::is_same_v<T, std::map<std::string, int64_t>>)
    return std::map<std::string, double>(field.begin(), field.end());
  else
    return field;
}

template <class T>
T from_value(const KeyValue& value) {
  if constexpr (std::is_enum_v<T>)
    return static_cast<T>(choice_value(choices_of<T>(), std::get<std::string>(value)));
  else if constexpr (std::is_same_v<T, bool>)
    return std::get<bool>(value);
  else if constexpr (std::is_integral_v<T>)
    return static_cast<T>(std::get<int64_t>(value));
  else if constexpr (std::is_same_v<T, Modules>) {
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    return std::get<std::vector<std::string>>(value);
  } else if constexpr (std::is_same_v<T, std::map<std::string, int64_t>>) {
    T out;
    for (const auto& [name, number] : std::get<std::map<std::string, double>>(value))
      out[name] = static_cast<int64_t>(number);
    return out;
  } else
    return std::get<T>(value);
}

template <class M>
struct MemberOf;
template <class C, class T>
struct MemberOf<T C::*> {
  using owner = C;
  using type = T;
};

}  // namespace detail

/// A table row for `Member`: type, optionality and allowed words follow from the field's C++ type.
template <auto Member>
Key<typename detail::MemberOf<decltype(Member)>::owner> key(std::string_view name, std::string_view section,
                                                            std::string_view help) {
  using Owner = typename detail::MemberOf<decltype(Member)>::owner;
  using Field = typename detail::MemberOf<decltype(Member)>::type;
  using Inner = typename detail::Unwrapped<Field>::type;
  constexpr bool optional = detail::Unwrapped<Field>::optional;
  KeyInfo info{.name = name,
               .section = section,
               .help = help,
               .type = detail::key_type<Inner>(),
               .optional = optional};
  if constexpr (std::is_enum_v<Inner>) info.choices = choices_of<Inner>();
  if constexpr (std::is_same_v<Inner, bool>) info.bare_value = "true";
  return {info,
          [](const Owner& owner) -> KeyValue {
            if constexpr (optional) {
              if (!(owner.*Member)) return std::monostate{};
              return detail::to_value<Inner>(*(owner.*Member));
            } else {
              return detail::to_value<Inner>(owner.*Member);
            }
          },
          [](Owner& owner, const KeyValue& value) {
            if constexpr (optional) {
              if (std::holds_alternative<std::monostate>(value)) {
                (owner.*Member).reset();
                return;
              }
            }
            owner.*Member = detail::from_value<Inner>(value);
          }};
}

}  // namespace lorikeet
