#include "model/arch/hf_config.h"

#include "core/error.h"

namespace lorikeet {

HfConfig::HfConfig(Json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
  if (!json_.is_object())
    throw Error(ErrorKind::format, "a model configuration must be a JSON object", where_);
}

const Json* HfConfig::find(const std::string& key) const {
  const auto it = json_.find(key);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

std::string HfConfig::field(const std::string& key) const {
  return fmt::format("{}, field \"{}\"", where_, key);
}

bool HfConfig::has(const std::string& key) const { return find(key) != nullptr; }

int64_t HfConfig::integer(const std::string& key) const {
  const Json* v = find(key);
  if (!v) throw Error(ErrorKind::format, fmt::format("the model configuration lacks \"{}\"", key), where_);
  return json_int(*v, field(key));
}

int64_t HfConfig::integer_or(const std::string& key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double HfConfig::number(const std::string& key) const {
  const Json* v = find(key);
  if (!v) throw Error(ErrorKind::format, fmt::format("the model configuration lacks \"{}\"", key), where_);
  return json_number(*v, field(key));
}

double HfConfig::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool HfConfig::boolean_or(const std::string& key, bool fallback) const {
  const Json* v = find(key);
  return v ? json_bool(*v, field(key)) : fallback;
}

std::string HfConfig::string_or(const std::string& key, const std::string& fallback) const {
  const Json* v = find(key);
  return v ? json_string(*v, field(key)) : fallback;
}

Json HfConfig::object(const std::string& key) const {
  const Json* v = find(key);
  if (!v) return Json::object();
  if (!v->is_object())
    throw Error(ErrorKind::format, fmt::format("\"{}\" must be an object", key), field(key));
  return *v;
}

void HfConfig::expect(const std::string& key, const Json& only) const {
  const Json* v = find(key);
  if (v && *v != only)
    throw Error(ErrorKind::unsupported,
                fmt::format("{} = {} is not supported, only {}", key, v->dump(), only.dump()), field(key));
}

std::string HfConfig::architecture() const {
  const Json* v = find("architectures");
  if (v && v->is_array() && v->size() == 1 && v->front().is_string()) return v->front().get<std::string>();
  throw Error(ErrorKind::format, "the model configuration names no architecture", field("architectures"));
}

}  // namespace lorikeet
