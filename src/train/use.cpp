#include "train/use.h"

#include <filesystem>

#include "config/key_value.h"
#include "config/run_keys.h"
#include "core/error.h"
#include "peft/adapter_config.h"

namespace lorikeet {

namespace fs = std::filesystem;

namespace {

/// What an adapter's run decides unless the user does: first how it held its base, then what it read and
/// wrote.
constexpr std::string_view kOfTheRun[] = {"model",
                                          "method",
                                          "base_format",
                                          "bnb_4bit_quant_type",
                                          "bnb_4bit_use_double_quant",
                                          "bnb_4bit_blocksize",
                                          "compute_dtype",
                                          "chat_template",
                                          "system_prompt"};

/// The run.yaml that belongs to an adapter folder: its own, or that of the run above a checkpoint. Empty if
/// there is none.
std::string run_yaml_of(const std::string& folder) {
  const fs::path own = fs::path(folder) / "run.yaml";
  if (fs::exists(own)) return own.string();
  const fs::path absolute = fs::absolute(folder).lexically_normal();
  const fs::path trimmed = absolute.has_filename() ? absolute : absolute.parent_path();
  const fs::path above = trimmed.parent_path() / "run.yaml";
  if (trimmed.filename().string().rfind("checkpoint-", 0) == 0 && fs::exists(above)) return above.string();
  return {};
}

}  // namespace

RunConfig config_for_use(const RunConfig& given) {
  RunConfig c = given;
  const std::string yaml = given.adapter ? run_yaml_of(*given.adapter) : std::string();
  if (!yaml.empty()) {
    RunConfig trained;
    apply_yaml_file(trained, yaml);
    for (const std::string_view name : kOfTheRun) {
      const Key<RunConfig>& key = *find_run_key(name);
      const bool decided = name == "model" ? !given.model.empty() : given.is_given(std::string(name));
      if (!decided) key.set(c, key.get(trained));
    }
    c.recorded = trained.recorded;
  }
  // A folder that is no adapter says so itself, instead of being asked for its model.
  if (given.adapter && yaml.empty()) AdapterConfig::read(*given.adapter);
  if (c.model.empty())
    throw Error(ErrorKind::usage,
                given.adapter ? "the adapter's folder has no run.yaml that names its base model"
                              : "no model is given",
                given.adapter.value_or(""), "say --model <folder or .gguf file>");
  return c;
}

std::vector<RunConfig> configs_for_use(const RunConfig& given, const std::vector<std::string>& adapters) {
  if (adapters.empty()) return {config_for_use(given)};
  std::vector<RunConfig> configs;
  for (const std::string& folder : adapters) {
    if (adapters.size() > 1) AdapterConfig::read(folder);  // a missing one is refused before others answer
    RunConfig one = given;
    one.adapter = folder;
    configs.push_back(config_for_use(one));
    for (const std::string_view name : kOfTheRun) {
      const std::string first = key_text(configs.front(), name), own = key_text(configs.back(), name);
      if (first == own) continue;
      throw Error(ErrorKind::usage,
                  fmt::format("these adapters cannot take turns: {} is {} for \"{}\" and {} for \"{}\"", name,
                              first, adapters.front(), own, folder),
                  flag_of(name),
                  fmt::format("say {} for both, or use each in a run of its own", flag_of(name)));
    }
  }
  return configs;
}

void check_fingerprint(const RunConfig& used, const ModelFiles& files) {
  if (used.allow_other_base) return;
  const auto it = used.recorded.find(kFingerprintKey);
  if (it == used.recorded.end() || it->second == files.fingerprint()) return;
  throw Error(ErrorKind::usage,
              fmt::format("this adapter was trained on another base than \"{}\"", files.name()),
              used.adapter.value_or(""),
              "use the base of its run.yaml, or say --allow-other-base if you know that it fits");
}

}  // namespace lorikeet
