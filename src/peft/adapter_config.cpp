#include "peft/adapter_config.h"

#include <cmath>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "io/json.h"

namespace lorikeet {

namespace {

/// Fields that must have one of these values (null always passes): everything else would change results.
struct Fixed {
  const char* key;
  std::vector<Json> allowed;
};
const std::vector<Fixed>& fixed_fields() {
  static const std::vector<Fixed> fields = {
      {"peft_type", {"LORA"}},
      {"task_type", {"CAUSAL_LM"}},
      {"bias", {"none"}},
      {"fan_in_fan_out", {false, true}},  // PEFT itself corrects it to what the layer is
      {"use_qalora", {false}},
      {"use_bdlora", {false}},
      {"layers_pattern", {Json::array()}},
      {"target_parameters", {Json::array()}},
      {"layer_replication", {}},
      {"alora_invocation_tokens", {}},
      {"arrow_config", {}},
      {"velora_config", {}},
      {"monteclora_config", {}},
      {"kasa_config", {}},
  };
  return fields;
}

/// Starts of A and B that also subtract something from the base: the adapter is wrong on the original one.
void check_init(const Json& value, const std::string& where) {
  if (!value.is_string()) return;
  const std::string& name = value.get_ref<const std::string&>();
  for (const char* changes_base : {"pissa", "olora", "corda", "lora_ga", "loftq"})
    if (name.starts_with(changes_base))
      throw Error(ErrorKind::unsupported,
                  fmt::format("init_lora_weights = \"{}\" changed the base weights", name), where,
                  "convert it to a plain adapter: PEFT's save_pretrained with "
                  "path_initial_model_for_weight_conversion");
}

/// Fields without meaning for a trained adapter, or for this program.
const std::set<std::string>& harmless_fields() {
  static const std::set<std::string> fields = {
      "auto_mapping",      "corda_config",   "eva_config",      "inference_mode", "init_lora_weights",
      "loftq_config",      "lora_ga_config", "megatron_config", "megatron_core",  "peft_version",
      "qalora_group_size", "revision",       "runtime_config"};
  return fields;
}

ModuleSelection selection(const Json& v, const std::string& where) {
  if (v.is_string()) return v.get<std::string>();
  if (!v.is_array())
    throw Error(ErrorKind::format, "must be a list of names or one regular expression", where);
  std::vector<std::string> names;
  for (const Json& n : v) names.push_back(json_string(n, where));
  return names;
}

Json to_json(const ModuleSelection& s) {
  if (const auto* text = std::get_if<std::string>(&s)) return *text;
  return std::get<std::vector<std::string>>(s);
}

int64_t positive(const Json& v, const std::string& where) {
  const int64_t n = json_int(v, where);
  if (n < 1 || n > 1 << 16) throw Error(ErrorKind::format, fmt::format("{} is no possible rank", n), where);
  return n;
}

std::vector<int64_t> integers(const Json& v, const std::string& where) {
  if (!v.is_array()) throw Error(ErrorKind::format, "must be a list of numbers", where);
  std::vector<int64_t> numbers;
  for (const Json& n : v) numbers.push_back(json_int(n, where));
  return numbers;
}

/// A list means the embedding.
std::map<std::string, std::vector<int64_t>> token_indices(const Json& v, const std::string& where) {
  if (!v.is_object()) return {{"", integers(v, where)}};
  std::map<std::string, std::vector<int64_t>> by_module;
  for (const auto& [name, ids] : v.items()) by_module[name] = integers(ids, where);
  return by_module;
}

Json to_json(const std::map<std::string, std::vector<int64_t>>& tokens) {
  if (tokens.empty()) return nullptr;
  return tokens.contains("") ? Json(tokens.at("")) : Json(tokens);
}

}  // namespace

AdapterConfig AdapterConfig::read(const std::string& folder) {
  const std::string path = folder + "/adapter_config.json";
  if (!std::filesystem::is_directory(folder))
    throw Error(ErrorKind::usage, fmt::format("adapter folder \"{}\" does not exist", folder), "",
                "give the folder that holds adapter_config.json");
  const Json json = read_json_file(path);
  if (!json.is_object()) throw Error(ErrorKind::format, "adapter_config.json must hold a JSON object", path);
  AdapterConfig c;
  c.targets.r = 8;  // PEFT's defaults
  c.targets.alpha = 8;
  bool has_type = false;
  for (const auto& [key, value] : json.items()) {
    const std::string where = fmt::format("{}, field \"{}\"", path, key);
    if (value.is_null()) continue;
    if (key == "peft_type") has_type = true;
    if (key == "init_lora_weights") check_init(value, where);
    if ((key == "rank_pattern" || key == "alpha_pattern") && !value.is_object())
      throw Error(ErrorKind::format, "must be an object of patterns", where);
    if (key == "r")
      c.targets.r = positive(value, where);
    else if (key == "lora_alpha")
      c.targets.alpha = json_number(value, where);
    else if (key == "lora_dropout")
      c.lora_dropout = json_number(value, where);
    else if (key == "use_dora")
      c.use_dora = json_bool(value, where);
    else if (key == "use_rslora")
      c.targets.use_rslora = json_bool(value, where);
    else if (key == "lora_bias")
      c.lora_bias = json_bool(value, where);
    else if (key == "ensure_weight_tying")
      c.ensure_weight_tying = json_bool(value, where);
    else if (key == "trainable_token_indices")
      c.trainable_token_indices = token_indices(value, where);
    else if (key == "target_modules")
      c.targets.targets = selection(value, where);
    else if (key == "exclude_modules")
      c.targets.exclude = selection(value, where);
    else if (key == "base_model_name_or_path")
      c.base_model_name_or_path = json_string(value, where);
    else if (key == "rank_pattern") {
      for (const auto& [name, r] : value.items()) c.targets.rank_pattern[name] = positive(r, where);
    } else if (key == "alpha_pattern") {
      for (const auto& [name, a] : value.items()) c.targets.alpha_pattern[name] = json_number(a, where);
    } else if (key == "layers_to_transform") {
      if (value.is_array())
        for (const Json& n : value) c.targets.layers_to_transform.push_back(json_int(n, where));
      else
        c.targets.layers_to_transform.push_back(json_int(value, where));
    } else if (key == "modules_to_save") {
      if (!value.is_array()) throw Error(ErrorKind::format, "must be a list of module names", where);
      for (const Json& n : value) c.modules_to_save.push_back(json_string(n, where));
    } else {
      bool known = harmless_fields().contains(key);
      for (const Fixed& f : fixed_fields()) {
        if (key != f.key) continue;
        known = true;
        if (std::find(f.allowed.begin(), f.allowed.end(), value) == f.allowed.end())
          throw Error(ErrorKind::unsupported, fmt::format("{} = {} is not supported", key, value.dump()),
                      where);
      }
      if (!known) c.ignored.push_back(key);
    }
  }
  if (!has_type) throw Error(ErrorKind::format, "adapter_config.json has no peft_type", path);
  return c;
}

AdapterConfig AdapterConfig::with_start() const {
  AdapterConfig c = *this;
  const double factor = targets.use_rslora ? std::sqrt(2.0) : 2.0;
  c.targets.r *= 2;
  c.targets.alpha *= factor;
  for (auto& [name, r] : c.targets.rank_pattern) r *= 2;
  for (auto& [name, alpha] : c.targets.alpha_pattern) alpha *= factor;
  return c;
}

std::string AdapterConfig::to_json_text() const {
  std::map<std::string, Json> fields;  // sorted, as PEFT writes them
  fields["peft_type"] = "LORA";
  fields["task_type"] = "CAUSAL_LM";
  fields["auto_mapping"] = nullptr;
  fields["base_model_name_or_path"] = base_model_name_or_path;
  fields["bias"] = "none";
  fields["exclude_modules"] = targets.exclude ? to_json(*targets.exclude) : Json(nullptr);
  fields["fan_in_fan_out"] = false;
  fields["inference_mode"] = true;
  fields["init_lora_weights"] = true;
  fields["layers_pattern"] = nullptr;
  fields["layers_to_transform"] =
      targets.layers_to_transform.empty() ? Json(nullptr) : Json(targets.layers_to_transform);
  fields["lora_alpha"] = targets.alpha == static_cast<double>(static_cast<int64_t>(targets.alpha))
                             ? Json(static_cast<int64_t>(targets.alpha))
                             : Json(targets.alpha);
  fields["lora_bias"] = lora_bias;
  fields["lora_dropout"] = lora_dropout;
  fields["modules_to_save"] = modules_to_save.empty() ? Json(nullptr) : Json(modules_to_save);
  fields["r"] = targets.r;
  fields["rank_pattern"] = targets.rank_pattern.empty() ? Json::object() : Json(targets.rank_pattern);
  fields["alpha_pattern"] = targets.alpha_pattern.empty() ? Json::object() : Json(targets.alpha_pattern);
  fields["revision"] = nullptr;
  fields["trainable_token_indices"] = to_json(trainable_token_indices);
  fields["target_modules"] = to_json(targets.targets);
  fields["use_dora"] = use_dora;
  fields["use_rslora"] = targets.use_rslora;
  Json out = Json::object();
  for (const auto& [key, value] : fields) out[key] = value;
  return to_text(out, 2) + "\n";
}

}  // namespace lorikeet
