#include "text/component.h"

namespace lorikeet::text {
namespace {

[[noreturn]] void wrong(const ComponentJson& c, const char* key, const char* expected) {
  const auto it = c.value.find(key);
  throw Error(ErrorKind::format,
              fmt::format("\"{}\" must be {}, it is {}", key, expected,
                          it == c.value.end() ? "missing" : it->type_name()),
              c.where);
}

}  // namespace

bool ComponentJson::has(const char* key) const {
  const auto it = value.find(key);
  return it != value.end() && !it->is_null();
}

std::string ComponentJson::type() const {
  if (!value.is_object()) {
    throw Error(ErrorKind::format, fmt::format("expected an object, found {}", value.type_name()), where);
  }
  return string("type");
}

std::string ComponentJson::string(const char* key) const {
  const auto it = value.find(key);
  if (it == value.end() || !it->is_string()) wrong(*this, key, "a string");
  return it->get<std::string>();
}

std::string ComponentJson::string_or(const char* key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

bool ComponentJson::boolean_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!value[key].is_boolean()) wrong(*this, key, "true or false");
  return value[key].get<bool>();
}

int64_t ComponentJson::integer_or(const char* key, int64_t fallback) const {
  if (!has(key)) return fallback;
  if (!value[key].is_number_integer()) wrong(*this, key, "a whole number");
  return value[key].get<int64_t>();
}

std::vector<ComponentJson> ComponentJson::array(const char* key) const {
  const auto it = value.find(key);
  if (it == value.end() || !it->is_array()) wrong(*this, key, "an array");
  std::vector<ComponentJson> out;
  for (size_t i = 0; i < it->size(); ++i) {
    out.push_back({(*it)[i], fmt::format("{}.{}[{}]", where, key, i), depth + 1});
  }
  return out;
}

ComponentJson ComponentJson::object(const char* key) const {
  const auto it = value.find(key);
  if (it == value.end() || !it->is_object()) wrong(*this, key, "an object");
  return {*it, fmt::format("{}.{}", where, key), depth + 1};
}

}  // namespace lorikeet::text
