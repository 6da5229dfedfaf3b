#pragma once
// How the parts of a tokenizer.json ("type": "...", other keys) become objects: each kind of part keeps a
// constexpr array of {type, make}; a type that is not in it is refused by name.
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "io/json.h"

namespace lorikeet::text {

/// One JSON object of a tokenizer.json and where it stands, e.g. "tokenizer.json,
/// pre_tokenizer.pretokenizers[1]".
struct ComponentJson {
  const Json& value;
  std::string where;
  int depth = 0;

  std::string type() const;
  /// A member; throws Error(format) where it is missing or of another kind. `*_or` take a default for a
  /// missing or null member.
  std::string string(const char* key) const;
  std::string string_or(const char* key, const std::string& fallback) const;
  bool boolean_or(const char* key, bool fallback) const;
  int64_t integer_or(const char* key, int64_t fallback) const;
  /// The elements of an array member.
  std::vector<ComponentJson> array(const char* key) const;
  ComponentJson object(const char* key) const;
  bool has(const char* key) const;
};

/// Parts may hold parts; deeper than this is refused.
constexpr int kMaxComponentDepth = 16;

template <class Made>
struct ComponentMaker {
  const char* type;
  Made (*make)(const ComponentJson&);
};

/// Finds the maker of `json.type()`, or throws Error(unsupported) naming the type and what is known.
template <class Made>
Made make_component(const ComponentJson& json, const char* kind,
                    std::span<const ComponentMaker<Made>> makers) {
  if (json.depth > kMaxComponentDepth) {
    throw Error(ErrorKind::format, fmt::format("{}s are nested more than {} deep", kind, kMaxComponentDepth),
                json.where);
  }
  const std::string type = json.type();
  std::string known;
  for (const ComponentMaker<Made>& m : makers) {
    if (type == m.type) return m.make(json);
    known += known.empty() ? "" : ", ";
    known += m.type;
  }
  throw Error(ErrorKind::unsupported, fmt::format("{} '{}' is not supported", kind, type), json.where,
              fmt::format("known are: {}", known));
}

}  // namespace lorikeet::text
