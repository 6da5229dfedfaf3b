// YAML files of keys. Only a flat map is read; `recorded` is the one nested map.
#include <yaml-cpp/yaml.h>

#include "config/key_value.h"
#include "config/nearest.h"
#include "config/run_keys.h"
#include "core/error.h"
#include "io/json.h"

namespace lorikeet {
namespace {

constexpr size_t kMostBytes = 1 << 20;
constexpr int kDeepest = 8;  // aliases may make a small file a deep or endless tree

std::string place(const std::string& name, const YAML::Mark& mark) {
  return mark.is_null() ? name : fmt::format("{}, line {}", name, mark.line + 1);
}

RawValue raw_of(const YAML::Node& node, const std::string& where, int depth, size_t& budget) {
  if (depth > kDeepest || budget == 0)
    throw Error(ErrorKind::usage, "the value is nested too deep or too large", where,
                "write it without aliases");
  --budget;
  RawValue raw;
  if (node.IsScalar()) {
    raw.kind = RawValue::Kind::scalar;
    raw.scalar = node.Scalar();
    raw.quoted = node.Tag() == "!";
  } else if (node.IsSequence()) {
    raw.kind = RawValue::Kind::list;
    for (const YAML::Node& item : node) raw.items.push_back(raw_of(item, where, depth + 1, budget));
  } else if (node.IsMap()) {
    raw.kind = RawValue::Kind::map;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) throw Error(ErrorKind::usage, "a map's key is not text", where);
      raw.names.push_back(entry.first.Scalar());
      raw.items.push_back(raw_of(entry.second, where, depth + 1, budget));
    }
  }
  return raw;
}

void read_recorded(RunConfig& config, const YAML::Node& node, const std::string& where) {
  if (node.IsNull()) return;
  if (!node.IsMap()) throw Error(ErrorKind::usage, "recorded is not a map", where, "remove it");
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar())
      throw Error(ErrorKind::usage, "recorded holds something other than text", where, "remove it");
    config.recorded[entry.first.Scalar()] = entry.second.Scalar();
  }
}

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const Key<RunConfig>& row : run_keys()) names.emplace_back(row.info.name);
  return names;
}

}  // namespace

void apply_yaml(RunConfig& config, const std::string& text, const std::string& name) {
  if (text.size() > kMostBytes)
    throw Error(ErrorKind::format,
                fmt::format("{} bytes are more than a configuration's {}", text.size(), kMostBytes), name,
                "is this the right file?");
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::format, fmt::format("not YAML: {}", error.msg), place(name, error.mark),
                "one \"key: value\" a line; see lorikeet finetune --help");
  }
  if (root.IsNull()) return;
  if (!root.IsMap())
    throw Error(ErrorKind::usage, "the configuration is not a map of keys", place(name, root.Mark()),
                "one \"key: value\" a line; see lorikeet finetune --help");
  std::map<std::string, std::string> seen;
  size_t budget = kMostBytes;
  for (const auto& entry : root) {
    const std::string where = place(name, entry.first.Mark());
    if (!entry.first.IsScalar()) throw Error(ErrorKind::usage, "a key is not text", where);
    std::string key = entry.first.Scalar();
    if (const auto [first, fresh] = seen.emplace(key, where); !fresh)
      throw Error(ErrorKind::usage, fmt::format("key \"{}\" stands twice", key), where,
                  fmt::format("remove one; the first is at {}", first->second));
    if (key == "recorded") {
      read_recorded(config, entry.second, where);
      continue;
    }
    const Key<RunConfig>* row = find_run_key(key);
    if (!row)
      throw Error(ErrorKind::usage, fmt::format("unknown key \"{}\"", key), where,
                  did_you_mean(key, key_names(), "see lorikeet finetune --help for the keys"));
    row->set(config, convert(row->info, raw_of(entry.second, where, 0, budget), where));
    config.given[key] = where;
  }
}

void apply_yaml_file(RunConfig& config, const std::string& path) {
  apply_yaml(config, read_text_file(path, kMostBytes), path);
}

}  // namespace lorikeet
