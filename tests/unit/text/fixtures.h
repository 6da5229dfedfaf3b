#pragma once
#include <string>

#include "io/json.h"
#include "text/tokenizer.h"

namespace lorikeet::fixtures {

inline std::string path(const std::string& name) { return std::string(LORIKEET_FIXTURES) + "/text/" + name; }
inline Json json(const std::string& name) { return read_json_file(path(name)); }

/// The fixture tokenizer `base` with some of its parts replaced, as make_text_fixtures.py does.
inline Json tokenizer_json(const std::string& base, const Json& parts = Json::object()) {
  Json j = json(base + ".json");
  for (const auto& [key, value] : parts.items()) {
    if (key == "model") {
      for (const auto& [name, part] : value.items()) j["model"][name] = part;
    } else {
      j[key] = value;
    }
  }
  return j;
}
inline Tokenizer tokenizer(const std::string& base, const Json& parts = Json::object()) {
  return Tokenizer::from_json(tokenizer_json(base, parts).dump(), base);
}

}  // namespace lorikeet::fixtures
